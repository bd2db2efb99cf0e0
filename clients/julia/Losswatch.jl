"""
Losswatch from Julia (1.6 or newer). Needs the standard library alone.

    include("clients/julia/Losswatch.jl")
    using .Losswatch
    run = Run("my-run"; learning_rate = 0.01, optimizer = "sgd")
    for step in 0:999
        log!(run, step; loss = train(), grad_norm = norm)
        should_stop(run) && break
    end
    finish!(run)

`LOSSWATCH_URL` names the service (http://127.0.0.1:8000), `LOSSWATCH_API_KEY` a key where keys are on,
`LOSSWATCH_PROJECT` a project. Nothing here ends a training: what cannot be delivered waits in memory and is sent again,
and the service counts a point once, however often it comes. `log!` posts at most four times a second; a service that is
away costs a request that fails now and then (after 1, 2, 4, … 30 seconds), of five seconds at most.
"""
module Losswatch

using Downloads

export Run, log!, amend!, flush!, finish!, should_stop, report

const FIELDS = Set([
    :loss, :grad_norm, :learning_rate, :validation_loss, :epoch, :time, :layers, :metrics, :rank,
])
const BATCH = 1000
const WAITING = 10_000

mutable struct Run
    name::String
    root::String
    query::String
    headers::Vector{Pair{String,String}}
    writer::String
    context::Dict{String,Any}
    waiting::Vector{String}
    steps::Vector{Int}
    interval::Float64
    sent_at::Float64
    not_before::Float64
    failed::Int
    said::Set{String}
    action::String
end

"""
    Run(name; url, api_key, project, flush_interval, context...)

A run; what is given by name beside the options (`learning_rate = 0.01`, `tags = (team = "a",)`) is its context.
"""
function Run(
    name::AbstractString;
    url = get(ENV, "LOSSWATCH_URL", "http://127.0.0.1:8000"),
    api_key = get(ENV, "LOSSWATCH_API_KEY", ""),
    project = get(ENV, "LOSSWATCH_PROJECT", ""),
    flush_interval = 0.25,
    context...,
)
    headers = ["Content-Type" => "application/json"]
    isempty(api_key) || push!(headers, "Authorization" => "Bearer $api_key")
    root = rstrip(url, '/') * "/v1/runs/" * encoded(name)
    query = isempty(project) ? "" : "?project=" * encoded(project)
    writer = "jl-$(getpid())-$(time_ns())"
    known = Dict{String,Any}(string(key) => value for (key, value) in context)
    return Run(name, root, query, headers, writer, known, [], [], flush_interval, 0, 0, 0, Set(), "")
end

"""
    log!(run, step; loss, grad_norm, ...)

Report what was measured at a step. Names that are no field of a point become metrics; `nothing` and `missing` mean not
measured; `NaN` and `Inf` are what they are.
"""
function log!(run::Run, step::Integer; values...)
    measured = [(name, value) for (name, value) in values if value !== nothing && value !== missing]
    point = Dict{String,Any}("step" => step)
    metrics = Dict{String,Any}()
    for (name, value) in measured
        name in FIELDS ? (point[string(name)] = value) : (metrics[string(name)] = value)
    end
    for (name, value) in pairs(get(point, "metrics", ()))
        metrics[string(name)] = value
    end
    isempty(metrics) || (point["metrics"] = metrics)
    push!(run.waiting, json(point))
    push!(run.steps, step)
    if length(run.waiting) > WAITING
        once(run, "left", "more than $WAITING points wait; the oldest are dropped")
        drop!(run, 1:BATCH)
    end
    now = time()
    now - run.sent_at >= run.interval && now >= run.not_before && flush!(run)
    return run
end

"Add to the context; it holds from the next point on."
function amend!(run::Run; context...)
    for (name, value) in context
        run.context[string(name)] = value
    end
    return run
end

"Whether going on is pointless, by the last answer."
should_stop(run::Run) = run.action == "stop"

"The latest report as the service has it, as JSON text; `nothing` where there is none."
function report(run::Run)
    answer = ask(run, "GET", "report")
    return answer.status == 200 ? answer.body : nothing
end

"Send what waits. `true` when all of it is delivered."
function flush!(run::Run)
    while !isempty(run.waiting)
        size = batch(run.steps)
        context = isempty(run.context) ? "" : ",\"context\":" * json(run.context)
        points = join(run.waiting[1:size], ",")
        answer = ask(run, "POST", "points", "{\"writer\":\"$(run.writer)\"$context,\"points\":[$points]}")
        run.sent_at = time()
        if answer.status == 200
            run.failed = 0
            empty!(run.context)
            found = match(r"\"action\":\s*\"(continue|look|stop)\"", answer.body)
            found === nothing || (run.action = found[1])
            drop!(run, 1:size)
        elseif answer.status == 422
            without!(run, size, answer)
        elseif 400 <= answer.status < 500 && !(answer.status in (408, 429))
            once(run, "refused $(answer.status)", "points are refused and dropped: $(answer.detail)")
            drop!(run, 1:size)
        else
            run.failed += 1
            run.not_before = run.sent_at + min(30, 2.0^(run.failed - 1))
            once(run, "away", "$(answer.detail); points wait and are sent again")
            return false
        end
    end
    return true
end

"The run has ended: `finished`, `failed` or `cancelled`. Waits up to `wait` seconds for a service that is away."
function finish!(run::Run, state::AbstractString = "finished"; wait = 5)
    until = time() + wait
    while !flush!(run) && time() < until
        sleep(0.25)
    end
    if !isempty(run.waiting)
        say("$(length(run.waiting)) points of $(run.name) were not delivered: the service is away")
        return false
    end
    while true
        answer = ask(run, "POST", "finish", json(Dict("state" => state)))
        answer.status == 200 && return true
        if 400 <= answer.status < 500 || time() >= until
            say("the end was not taken: $(answer.detail)")
            return false
        end
        sleep(0.25)
    end
end

# What follows is for the functions above.

"JSON with every digit of a number. A number that is not finite is a string, as JSON has no word for it."
json(value::AbstractFloat) =
    isnan(value) ? "\"NaN\"" : isinf(value) ? (value > 0 ? "\"Infinity\"" : "\"-Infinity\"") : repr(Float64(value))
json(value::Bool) = string(value)
json(value::Integer) = string(value)
json(value::Real) = json(Float64(value))
json(::Union{Nothing,Missing}) = "null"
json(value::Symbol) = json(string(value))
json(value::Union{AbstractVector,Tuple}) = "[" * join(map(json, collect(value)), ",") * "]"
json(value::Union{AbstractDict,NamedTuple}) =
    "{" * join([json(string(name)) * ":" * json(item) for (name, item) in pairs(value)], ",") * "}"
function json(value::AbstractString)
    text = IOBuffer()
    print(text, '"')
    for sign in value
        if sign == '"' || sign == '\\'
            print(text, '\\', sign)
        elseif sign < ' '
            print(text, "\\u", string(Int(sign); base = 16, pad = 4))
        else
            print(text, sign)
        end
    end
    print(text, '"')
    return String(take!(text))
end

"As in a URL."
function encoded(text::AbstractString)
    hex(byte) = "%" * uppercase(string(byte; base = 16, pad = 2))
    is_plain(byte) = byte < 0x80 && (isletter(Char(byte)) || isdigit(Char(byte)) || byte in b"-._~")
    return join(is_plain(byte) ? string(Char(byte)) : hex(byte) for byte in codeunits(text))
end

"As many as one request may carry: the steps of a request ascend, as the service sorts them."
function batch(steps::Vector{Int})
    size = 1
    while size < min(BATCH, length(steps)) && steps[size + 1] > steps[size]
        size += 1
    end
    return size
end

function drop!(run::Run, places)
    deleteat!(run.waiting, places)
    deleteat!(run.steps, places)
end

"Drop what the service names as bad, and say why."
function without!(run::Run, size::Int, answer)
    named = r"\"pointer\":\s*\"/points/(\d+)[^\"]*\",\s*\"detail\":\s*\"((?:[^\"\\]|\\.)*)\""
    bad = Dict(parse(Int, found[1]) + 1 => string(found[2]) for found in eachmatch(named, answer.body))
    if isempty(bad) && !isempty(run.context)
        once(run, "context", "the context is refused and left out: $(answer.detail)")
        empty!(run.context)
        return
    end
    isempty(bad) && (bad = Dict(place => answer.detail for place in 1:size))
    for (place, why) in bad
        once(run, why, "the point of step $(run.steps[place]) is refused and dropped: $why")
    end
    drop!(run, sort(collect(keys(bad))))
end

"One request: its status (0 where no answer came), its body, and a sentence that says what went wrong."
function ask(run::Run, method::String, call::String, body::Union{Nothing,String} = nothing)
    output = IOBuffer()
    input = body === nothing ? nothing : IOBuffer(body)
    answer = try
        Downloads.request(
            "$(run.root)/$call$(run.query)";
            method = method, headers = run.headers, input = input, output = output, timeout = 5, throw = false,
        )
    catch error
        error
    end
    if !(answer isa Downloads.Response)
        return (status = 0, body = "", detail = "no service answers at $(run.root) ($(sprint(showerror, answer)))")
    end
    text = String(take!(output))
    found = match(r"\"detail\":\s*\"((?:[^\"\\]|\\.)*)\"", text)
    said = found === nothing ? "not an answer of Losswatch" : found[1]
    return (status = answer.status, body = text, detail = "$(answer.status): $said")
end

function once(run::Run, what::String, sentence::String)
    what in run.said && return
    push!(run.said, what)
    say(sentence)
end

say(sentence::String) = println(stderr, "losswatch: ", sentence)

end
