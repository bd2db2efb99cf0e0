# The calls of tests/languages/test_conformance.py, in R.
source("clients/r/losswatch.R")
arguments <- commandArgs(trailingOnly = TRUE)
scenario <- arguments[[length(arguments) - 1]]
name <- arguments[[length(arguments)]]
if (arguments[[1]] == "--by-program") options(losswatch.program = TRUE)
if (scenario == "story") {
  run <- losswatch_run(name, learning_rate = 0.01, optimizer = "sgd", tags = list(team = "a"), flush_interval = 0)
  losswatch_log(run, 0, loss = 450, grad_norm = 1.5)
  losswatch_amend(run, batch_size = 20)
  run$interval <- Inf # so that the three go together
  for (step in 1:3) losswatch_log(run, step, loss = 450 * 3.55^step, accuracy = 0.5)
  run$interval <- 0
  for (step in 4:99) {
    losswatch_log(run, step, loss = 450 * 3.55^step)
    if (losswatch_should_stop(run)) {
      cat(sprintf("stopped at %d\n", step))
      break
    }
  }
  losswatch_finish(run, "failed")
  cat(losswatch_report(run)$state, "\n", sep = "")
} else if (scenario == "odd") {
  run <- losswatch_run(name)
  losses <- c(NaN, Inf, -Inf, 0.1 + 0.2)
  for (i in seq_along(losses)) losswatch_log(run, i - 1, loss = losses[[i]], grad_norm = NA)
  losswatch_finish(run)
} else if (scenario == "refused") {
  run <- losswatch_run(name, flush_interval = 0)
  losswatch_log(run, -1, loss = 0.5)
  losswatch_log(run, 0, loss = 0.5)
  losswatch_finish(run)
  cat("went on\n")
} else {
  run <- losswatch_run(name, flush_interval = 0)
  for (step in 0:2) losswatch_log(run, step, loss = 1 / (step + 1))
  cat("trained\n")
  losswatch_finish(run, wait = as.numeric(Sys.getenv("PATIENCE_S", "5")))
}
