# The calls of tests/languages/test_conformance.py, in Julia.
include("../../clients/julia/Losswatch.jl")
using .Losswatch

scenario, name = ARGS
if scenario == "story"
    run = Run(name; learning_rate = 0.01, optimizer = "sgd", tags = (team = "a",), flush_interval = 0)
    log!(run, 0; loss = 450.0, grad_norm = 1.5)
    amend!(run; batch_size = 20)
    run.interval = Inf # so that the three go together
    for step in 1:3
        log!(run, step; loss = 450.0 * 3.55^step, accuracy = 0.5)
    end
    run.interval = 0
    for step in 4:99
        log!(run, step; loss = 450.0 * 3.55^step)
        if should_stop(run)
            println("stopped at ", step)
            break
        end
    end
    finish!(run, "failed")
    println(match(r"\"state\":\s*\"(\w+)\"", report(run))[1])
elseif scenario == "odd"
    run = Run(name)
    for (place, loss) in enumerate([NaN, Inf, -Inf, 0.1 + 0.2])
        log!(run, place - 1; loss = loss, grad_norm = missing)
    end
    finish!(run)
elseif scenario == "refused"
    run = Run(name; flush_interval = 0)
    log!(run, -1; loss = 0.5)
    log!(run, 0; loss = 0.5)
    finish!(run)
    println("went on")
else
    run = Run(name; flush_interval = 0)
    for step in 0:2
        log!(run, step; loss = 1 / (step + 1))
    end
    println("trained")
    finish!(run; wait = parse(Float64, get(ENV, "PATIENCE_S", "5")))
end
