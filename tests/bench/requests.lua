-- What wrk sends and what it found out, for the bench (tests/src/bin/bench/drive.rs).
--
-- Arguments: method, file of credentials (or "-"), number of the first one, how many, file with the body (or
-- "-"), "again" or "once".
-- The file holds one credential per line, all of the same length: header fields with tabs between them. It is
-- read round and round; with "once" nothing is sent twice, so wrk's thread stops when all have been used. Every
-- kind of row builds its requests in the same way, so that the driver costs the same in all of them.

local before, after, credentials, count, last, once

local function contents(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

local function read_credentials(path, first, wanted)
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
    list[index] = line:gsub("\t", "\r\n") .. "\r\n"
  end
  file:close()
  return list
end

function init(args)
  local method, credential_file, first, wanted, body_file = args[1], args[2], args[3], args[4], args[5]
  local body = body_file ~= "-" and contents(body_file) or nil
  -- Signatures are made for a name, whatever the port.
  local headers = { ["Host"] = "gateway.example", ["Accept"] = "application/json", ["User-Agent"] = "attach-bench/1" }
  if body then
    headers["Content-Type"] = "application/json"
  end
  headers["X-Place"] = "@"
  local whole = wrk.format(method, nil, headers, body)
  local place = "X-Place: @\r\n"
  local at = whole:find(place, 1, true)
  before, after = whole:sub(1, at - 1), whole:sub(at + #place)
  if credential_file == "-" then
    credentials = { "" }
  else
    credentials = read_credentials(credential_file, tonumber(first), tonumber(wanted))
  end
  count, last, once = #credentials, 0, args[6] == "once"
end

function request()
  last = last + 1
  if last > count then
    if once then
      wrk.thread:stop()
    end
    last = 1
  end
  return before .. credentials[last] .. after
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format("\nbench %d %d %d %d %d %d\n", summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout, latency:percentile(50), latency:percentile(99)))
end
