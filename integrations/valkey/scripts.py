"""Lua scripts of the projection. Each runs as one step: nobody sees half of a board."""

SWAP = """
-- Put a staged board in place, unless a later state of the same epoch is there. Another epoch is always replaced.
-- What was there is put aside for a while: to free all of it at once takes milliseconds, while everybody waits.
-- KEYS: salt, stamp, then the parts (a sorted set, then strings), then the same staged, then the same put aside
-- ARGV: stamp (epoch and board version first, the digest of the settled part last), then the sizes of the parts;
-- behind a "=" that of a part which is to stay as it is. Last, for how many seconds what is put aside stays.
-- Answers 1, or 0 when a later state is there, or -1 when what was to stay has gone, or the salt is another one than
-- that of the digest.
local parts = #ARGV - 2
local salt = table.remove(KEYS, 1)
local present = redis.pcall('GET', KEYS[1])
if type(present) == 'table' then  -- of another type
    redis.call('UNLINK', KEYS[1])
elseif present then
    local epoch, version = string.match(present, '^(%S+) (%d+) ')
    local new_epoch, new_version = string.match(ARGV[1], '^(%S+) (%d+) ')
    local _, spaces = string.gsub(present, ' ', '')
    local is_readable = epoch and spaces == select(2, string.gsub(ARGV[1], ' ', ''))
    if is_readable and epoch == new_epoch and tonumber(version) > tonumber(new_version) then
        redis.call('UNLINK', unpack(KEYS, parts + 2))
        return 0
    end
end
if redis.pcall('GET', salt) ~= string.match(ARGV[1], '%.([0-9a-f]+)$') then
    redis.call('UNLINK', unpack(KEYS, parts + 2))
    return -1
end
local digest = type(present) == 'string' and string.match(present, '(%S+)$')
local is_kept = {}
for n = 1, parts do
    local size = string.match(ARGV[1 + n], '^=(%d+)$')
    if size then
        is_kept[n] = true
        local found = redis.pcall(n == 1 and 'ZCARD' or 'STRLEN', KEYS[1 + n])
        if digest ~= string.match(ARGV[1], '(%S+)$') or found ~= tonumber(size) then
            redis.call('UNLINK', unpack(KEYS, parts + 2))
            return -1
        end
    end
end
-- What was staged may have vanished meanwhile, such as in a flush.
for n = 1, parts do
    if not is_kept[n] and redis.call(n == 1 and 'ZCARD' or 'STRLEN', KEYS[parts + 1 + n]) ~= tonumber(ARGV[1 + n]) then
        return redis.error_reply('NOTSTAGED the staged board is not complete')
    end
end
for n = 1, parts do
    local place, staged, aside = KEYS[1 + n], KEYS[parts + 1 + n], KEYS[2 * parts + 1 + n]
    if not is_kept[n] and redis.call('EXISTS', place) == 1 then
        redis.call('RENAME', place, aside)
        redis.call('EXPIRE', aside, ARGV[#ARGV])
    end
    if redis.call('EXISTS', staged) == 1 then
        redis.call('RENAME', staged, place)
        redis.call('PERSIST', place)
    end
end
redis.call('SET', KEYS[1], ARGV[1])
return 1
"""

TOPS = """
-- What the first places of a board are read with, at one moment.
-- KEYS: stamp, distinct, order, live_distinct, live_order
-- ARGV: the last byte to fetch of each order
-- Answers what each holds, of one that is of another type the error.
return {
    redis.pcall('GET', KEYS[1]),
    redis.pcall('GET', KEYS[2]), redis.pcall('GETRANGE', KEYS[3], 0, ARGV[1]),
    redis.pcall('GET', KEYS[4]), redis.pcall('GETRANGE', KEYS[5], 0, ARGV[2]),
}
"""

FIND_LIVE = """
-- Where a member is on a board with provisional points.
-- KEYS: master_scores, live_places
-- ARGV: member id
-- Answers the place from 0, none for who is not ranked.
local place = redis.call('ZRANK', KEYS[1], ARGV[1])
return place and (struct.unpack('<I4', redis.call('GETRANGE', KEYS[2], place * 4, place * 4 + 3)))
"""

KEEP_LEAGUE = """
-- Keep a league's board (scores and members in turn) or its members, unless a later version of the same epoch is there.
-- KEYS: stamp, sorted set or set
-- ARGV: stamp (it begins with epoch and version), seconds, then what it holds
local present = redis.pcall('GET', KEYS[1])
if type(present) == 'string' then
    local epoch, version = string.match(present, '^(%S+) (%d+)')
    local new_epoch, new_version = string.match(ARGV[1], '^(%S+) (%d+)')
    if epoch and epoch == new_epoch and tonumber(version) > tonumber(new_version) then
        return 0
    end
end
local command = string.find(KEYS[2], ':members', 1, true) and 'SADD' or 'ZADD'
redis.call('UNLINK', KEYS[1], KEYS[2])
for n = 3, #ARGV, 1000 do
    redis.call(command, KEYS[2], unpack(ARGV, n, math.min(n + 999, #ARGV)))
end
if #ARGV > 2 then
    redis.call('EXPIRE', KEYS[2], ARGV[2])
end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return 1
"""

TAKE = """
-- Put a value in place for a while, unless somebody has within that while. What else stands there counts for nothing.
-- KEYS: of any type
-- ARGV: milliseconds, value
local left = redis.call('PTTL', KEYS[1])
if left >= 0 and left <= tonumber(ARGV[1]) then
    return 0
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[1])
return 1
"""

GIVE_BACK = """
-- KEYS, ARGV: where somebody has put a value, and which
if redis.pcall('GET', KEYS[1]) == ARGV[1] then
    redis.call('UNLINK', KEYS[1])
end
"""
