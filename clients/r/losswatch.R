# Losswatch from R. Needs the packages jsonlite and curl (without curl, or with options(losswatch.program = TRUE), the
# program of that name).
#
#   source("clients/r/losswatch.R")
#   run <- losswatch_run("my-run", learning_rate = 0.01, optimizer = "sgd")
#   for (step in 1:1000) {
#     losswatch_log(run, step, loss = train(), grad_norm = norm)
#     if (losswatch_should_stop(run)) break
#   }
#   losswatch_finish(run)
#
# LOSSWATCH_URL names the service (http://127.0.0.1:8000), LOSSWATCH_API_KEY a key where keys are on, LOSSWATCH_PROJECT a
# project. Nothing here ends a training: what cannot be delivered waits in memory and is sent again, and the service counts
# a point once, however often it comes. `log` posts at most four times a second; a service that is away costs a request that
# fails now and then (after 1, 2, 4, … 30 seconds), of five seconds at most.

losswatch_run <- function(name, ..., url = Sys.getenv("LOSSWATCH_URL", "http://127.0.0.1:8000"),
                          api_key = Sys.getenv("LOSSWATCH_API_KEY"), project = Sys.getenv("LOSSWATCH_PROJECT"),
                          flush_interval = 0.25) {
  # A run; what is given by name beside the arguments (learning_rate = 0.01, tags = list(team = "a")) is its context.
  if (!requireNamespace("jsonlite", quietly = TRUE)) stop("Losswatch needs jsonlite: install.packages(\"jsonlite\")")
  run <- new.env(parent = emptyenv())
  run$name <- name
  run$root <- paste0(sub("/+$", "", url), "/v1/runs/", utils::URLencode(name, reserved = TRUE))
  run$query <- if (nzchar(project)) paste0("?project=", utils::URLencode(project, reserved = TRUE)) else ""
  run$api_key <- api_key
  run$writer <- sprintf("r-%d-%.0f", Sys.getpid(), as.numeric(Sys.time()) * 1e6)
  run$context <- list(...)
  run$waiting <- list()
  run$steps <- numeric()
  run$interval <- flush_interval
  run$sent_at <- 0
  run$not_before <- 0
  run$failed <- 0
  run$said <- character()
  run$report <- NULL
  class(run) <- "losswatch_run"
  run
}

losswatch_log <- function(run, step, ...) {
  # Report what was measured at a step. Names that are no field of a point become metrics. NA means not measured.
  values <- list(...)
  measured <- vapply(values, function(value) length(value) != 1 || is.list(value) || is.nan(value) || !is.na(value), NA)
  values <- values[measured]
  of_point <- names(values) %in% c("loss", "grad_norm", "learning_rate", "validation_loss", "epoch", "time", "layers",
                                   "metrics", "rank")
  point <- c(list(step = step), values[of_point])
  if (any(!of_point)) point$metrics <- c(as.list(point$metrics), values[!of_point])
  run$waiting[[length(run$waiting) + 1]] <- .losswatch_json(point)
  run$steps <- c(run$steps, as.numeric(step))
  if (length(run$waiting) > 10000) {
    .losswatch_once(run, "left", "more than 10,000 points wait; the oldest are dropped")
    run$waiting[1:1000] <- NULL
    run$steps <- run$steps[-(1:1000)]
  }
  now <- as.numeric(Sys.time())
  if (now - run$sent_at >= run$interval && now >= run$not_before) losswatch_flush(run)
  invisible(run)
}

losswatch_amend <- function(run, ...) {
  # Add to the context; it holds from the next point on.
  run$context <- utils::modifyList(run$context, list(...))
  invisible(run)
}

losswatch_should_stop <- function(run) identical(run$report$action, "stop") # by the last answer

losswatch_report <- function(run) {
  # The latest report as the service has it, as a list; NULL where there is none.
  answer <- .losswatch_ask(run, "GET", "report")
  if (answer$status == 200) answer$body else NULL
}

losswatch_flush <- function(run) {
  # Send what waits. TRUE when all of it is delivered.
  while (length(run$waiting) > 0) {
    size <- .losswatch_batch(run$steps)
    context <- if (length(run$context)) paste0(",\"context\":", .losswatch_json(run$context)) else ""
    body <- sprintf("{\"writer\":\"%s\"%s,\"points\":[%s]}", run$writer, context,
                    paste(unlist(run$waiting[seq_len(size)]), collapse = ","))
    answer <- .losswatch_ask(run, "POST", "points", body)
    run$sent_at <- as.numeric(Sys.time())
    if (answer$status == 200) {
      run$failed <- 0
      run$context <- list()
      run$report <- answer$body
      .losswatch_drop(run, seq_len(size))
    } else if (answer$status == 422) {
      .losswatch_without(run, size, answer)
    } else if (answer$status >= 400 && answer$status < 500 && !(answer$status %in% c(408, 429))) {
      .losswatch_once(run, answer$status, paste("points are refused and dropped:", answer$detail))
      .losswatch_drop(run, seq_len(size))
    } else {
      run$failed <- run$failed + 1
      run$not_before <- run$sent_at + min(30, 2^(run$failed - 1))
      .losswatch_once(run, "away", paste0(answer$detail, "; points wait and are sent again"))
      return(FALSE)
    }
  }
  TRUE
}

losswatch_finish <- function(run, state = "finished", wait = 5) {
  # The run has ended: finished, failed or cancelled. Waits up to `wait` seconds for a service that is away.
  until <- as.numeric(Sys.time()) + wait
  while (!losswatch_flush(run) && as.numeric(Sys.time()) < until) Sys.sleep(0.25)
  if (length(run$waiting) > 0) {
    message(sprintf("losswatch: %d points of %s were not delivered: the service is away", length(run$waiting), run$name))
    return(invisible(FALSE))
  }
  repeat {
    answer <- .losswatch_ask(run, "POST", "finish", .losswatch_json(list(state = state)))
    if (answer$status == 200) return(invisible(TRUE))
    if ((answer$status >= 400 && answer$status < 500) || as.numeric(Sys.time()) >= until) {
      message("losswatch: the end was not taken: ", answer$detail)
      return(invisible(FALSE))
    }
    Sys.sleep(0.25)
  }
}

losswatch_keras <- function(run, model) {
  # A callback for keras3: fit(model, x, y, callbacks = list(losswatch_keras(run, model))). Each epoch becomes a point.
  do.call(keras3::callback_lambda, losswatch_keras_hooks(run, model))
}

losswatch_keras_hooks <- function(run, model) {
  # What the callback does, as functions.
  list(
    on_epoch_end = function(epoch, logs) {
      names(logs)[names(logs) == "val_loss"] <- "validation_loss"
      do.call(losswatch_log, c(list(run, epoch), logs))
      if (losswatch_should_stop(run)) model$stop_training <- TRUE
    },
    on_train_end = function(logs) losswatch_finish(run)
  )
}

# What follows is for the functions above.

.losswatch_json <- function(value) {
  # JSON with every digit of a number. A number that is not finite is a string: R's own packages would write null.
  if (is.list(value)) {
    if (is.null(names(value))) return(paste0("[", paste(vapply(value, .losswatch_json, ""), collapse = ","), "]"))
    named <- sprintf("%s:%s", vapply(names(value), .losswatch_text, ""), vapply(value, .losswatch_json, ""))
    return(paste0("{", paste(named, collapse = ","), "}"))
  }
  if (length(value) != 1) return(.losswatch_json(as.list(value)))
  if (is.character(value) || is.factor(value)) return(.losswatch_text(as.character(value)))
  if (is.logical(value)) return(if (is.na(value)) "null" else tolower(as.character(value)))
  if (is.nan(value)) return("\"NaN\"")
  if (is.na(value)) return("null")
  if (is.infinite(value)) return(if (value > 0) "\"Infinity\"" else "\"-Infinity\"")
  if (value == round(value) && abs(value) < 2^53) sprintf("%.0f", value) else sprintf("%.17g", value)
}

.losswatch_text <- function(text) as.character(jsonlite::toJSON(enc2utf8(text), auto_unbox = TRUE))

.losswatch_batch <- function(steps) {
  # As many as one request may carry: the steps of a request ascend, as the service sorts them.
  steps <- utils::head(steps, 1000)
  back <- which(diff(steps) <= 0)
  if (length(back)) back[[1]] else length(steps)
}

.losswatch_drop <- function(run, places) {
  run$waiting[places] <- NULL
  run$steps <- run$steps[-places]
}

.losswatch_without <- function(run, size, answer) {
  # Drop what the service names as bad, and say why.
  errors <- answer$body$errors
  pointers <- vapply(errors, function(one) as.character(one$pointer), "")
  details <- vapply(errors, function(one) as.character(one$detail), "")
  of_point <- grepl("^/points/[0-9]+", pointers)
  bad <- as.integer(sub("^/points/([0-9]+).*", "\\1", pointers[of_point])) + 1
  if (!any(of_point) && length(run$context)) {
    .losswatch_once(run, "context", paste("the context is refused and left out:", answer$detail))
    run$context <- list()
    return(invisible())
  }
  if (!any(of_point)) {
    bad <- seq_len(size)
    details <- rep(answer$detail, size)
    of_point <- rep(TRUE, size)
  }
  for (i in seq_along(bad)) {
    why <- details[of_point][[i]]
    .losswatch_once(run, why, sprintf("the point of step %.0f is refused and dropped: %s", run$steps[[bad[[i]]]], why))
  }
  .losswatch_drop(run, unique(bad))
}

.losswatch_ask <- function(run, method, call, body = NULL) {
  # One request: its status (0 where no answer came), its body, and a sentence that says what went wrong.
  url <- paste0(run$root, "/", call, run$query)
  got <- tryCatch(
    if (.losswatch_has_package()) .losswatch_by_package(run, method, url, body)
    else .losswatch_by_program(run, method, url, body),
    error = function(problem) list(status = 0, text = "", why = conditionMessage(problem))
  )
  told <- tryCatch(jsonlite::fromJSON(got$text, simplifyVector = FALSE), error = function(problem) NULL)
  said <- if (is.null(told$detail)) "not an answer of Losswatch" else told$detail
  detail <- if (got$status == 0) sprintf("no service answers at %s (%s)", run$root, got$why)
            else sprintf("%d: %s", got$status, said)
  list(status = got$status, body = told, detail = detail)
}

.losswatch_has_package <- function() {
  !isTRUE(getOption("losswatch.program")) && requireNamespace("curl", quietly = TRUE)
}

.losswatch_by_package <- function(run, method, url, body) {
  handle <- curl::new_handle(customrequest = method, connecttimeout = 2, timeout = 5)
  headers <- c("Content-Type" = "application/json", "Expect" = "")
  if (nzchar(run$api_key)) headers <- c(headers, "Authorization" = paste("Bearer", run$api_key))
  do.call(curl::handle_setheaders, c(list(handle), as.list(headers)))
  if (!is.null(body)) {
    bytes <- charToRaw(enc2utf8(body))
    curl::handle_setopt(handle, post = TRUE, postfieldsize = length(bytes), postfields = bytes)
  }
  answer <- curl::curl_fetch_memory(url, handle)
  text <- rawToChar(answer$content)
  Encoding(text) <- "UTF-8"
  list(status = answer$status_code, text = text)
}

.losswatch_by_program <- function(run, method, url, body) {
  # The key goes through standard input, not through the arguments, which every user of the machine can read.
  config <- c("header = \"Content-Type: application/json\"",
              if (nzchar(run$api_key)) sprintf("header = \"Authorization: Bearer %s\"", run$api_key))
  arguments <- c("--config", "-", "--silent", "--show-error", "--connect-timeout", "2", "--max-time", "5",
                 "--request", method, "--write-out", shQuote("\n%{http_code}"))
  if (!is.null(body)) {
    file <- tempfile("losswatch-")
    on.exit(unlink(file))
    writeLines(enc2utf8(body), file, sep = "", useBytes = TRUE)
    arguments <- c(arguments, "--data-binary", shQuote(paste0("@", file)))
  }
  lines <- suppressWarnings(system2("curl", c(arguments, shQuote(url)), stdout = TRUE, stderr = FALSE, input = config))
  status <- suppressWarnings(as.integer(utils::tail(lines, 1)))
  if (length(status) != 1 || is.na(status) || status == 0) stop("curl: exit status ", attr(lines, "status"))
  text <- paste(utils::head(lines, -1), collapse = "\n")
  Encoding(text) <- "UTF-8"
  list(status = status, text = text)
}

.losswatch_once <- function(run, what, sentence) {
  if (what %in% run$said) return(invisible())
  run$said <- c(run$said, what)
  message("losswatch: ", sentence)
}
