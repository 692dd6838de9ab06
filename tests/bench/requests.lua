-- What wrk sends and what it found out, for the bench (tests/src/bin/bench/drive.rs).
--
-- Arguments: method, file of tokens (or "-"), number of the first one, how many, file with the body (or "-").
-- The file holds one token per line, all of the same length, and is read round and round. Every kind of row
-- builds its requests in the same way, so that the driver costs the same in all of them.

local before, after, tokens, count, last

local function contents(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

local function read_tokens(path, first, wanted)
  local file = assert(io.open(path, "rb"))
  local length = #file:read("*l") + 1
  local held = file:seek("end") / length
  file:seek("set", (first % held) * length)
  local list = {}
  for index = 1, wanted do
    local line = file:read("*l")
    if not line then
      file:seek("set", 0)
      line = file:read("*l")
    end
    list[index] = line
  end
  file:close()
  return list
end

function init(args)
  local method, token_file, first, wanted, body_file = args[1], args[2], args[3], args[4], args[5]
  local body = body_file ~= "-" and contents(body_file) or nil
  local headers = { ["Accept"] = "application/json", ["User-Agent"] = "attach-bench/1" }
  if body then
    headers["Content-Type"] = "application/json"
  end
  if token_file == "-" then
    tokens = { "" }
    before, after = wrk.format(method, nil, headers, body), ""
  else
    tokens = read_tokens(token_file, tonumber(first), tonumber(wanted))
    headers["Authorization"] = "Bearer @"
    local whole = wrk.format(method, nil, headers, body)
    local at = whole:find("@", 1, true)
    before, after = whole:sub(1, at - 1), whole:sub(at + 1)
  end
  count, last = #tokens, 0
end

function request()
  last = last + 1
  if last > count then
    last = 1
  end
  return before .. tokens[last] .. after
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format("\nbench %d %d %d %d %d %d\n", summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout, latency:percentile(50), latency:percentile(99)))
end
