-- An account as attach_core::quota::entry has it, rule by rule; a test holds both against each other.
-- Numbers are exact up to LARGEST, where sums stop.
local LARGEST = 9007199254740991
local LEASE_SECONDS = 60
local CLOCK_SET_BACK_SECONDS = 60
local MAX_SLOTS = 64
local MAX_LEASES = 256
local LEASE_SHARE = 16
local NEAR_SHARE = 8
local DAY = 86400
-- What a key outlives its window by, in seconds.
local AFTER = 600
local floor, max, min = math.floor, math.max, math.min

local function plus(one, other)
  return min(one + other, LARGEST)
end

local function minus(one, other)
  return max(one - other, 0)
end

local function number(value)
  return string.format('%.0f', value)
end

-- {latest, {{slot, tokens}, …}, {{worker, amount, renewed, stamp}, …}}
-- A stamp is microseconds: of two words about a worker the later one is right.
local function load(key)
  local bytes = redis.call('GET', key)
  if not bytes then
    return {latest = 0, used = {}, leases = {}}
  end
  local entry = cmsgpack.unpack(bytes)
  return {latest = entry[1], used = entry[2], leases = entry[3]}
end

local function save(key, entry, seconds)
  if #entry.used == 0 and #entry.leases == 0 then
    redis.call('DEL', key)
  else
    local bytes = cmsgpack.pack({entry.latest, entry.used, entry.leases})
    redis.call('SET', key, bytes, 'EX', number(max(seconds, 0) + AFTER))
  end
end

-- Adds to a slot, wherever its place is.
local function add_to_slot(entry, slot, tokens)
  local used = entry.used
  local place = #used
  while place > 0 and used[place][1] > slot do
    place = place - 1
  end
  if place > 0 and used[place][1] == slot then
    used[place][2] = plus(used[place][2], tokens)
  else
    table.insert(used, place + 1, {slot, tokens})
  end
  if #used > MAX_SLOTS then
    local first = table.remove(used, 1)
    used[1][2] = plus(used[1][2], first[2])
  end
end

local function find_lease(entry, worker)
  for place, lease in ipairs(entry.leases) do
    if lease[1] == worker then
      return lease, place
    end
  end
end
