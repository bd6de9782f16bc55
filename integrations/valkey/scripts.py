"""Lua scripts of the projection. Each runs as one step: no reader sees half of a board or two versions on one page."""

SWAP = """
-- Put a staged board in place, unless a later state of the same epoch is there. Another epoch is always replaced.
-- KEYS: stamp, then master_scores, distinct, order, facts, live_scores, live_distinct, live_facts, then these staged
-- ARGV: epoch, settled_version, board_version, computed_at, members, bases, live matches, then sizes of the seven parts
local count = {'ZCARD', 'ZCARD', 'STRLEN', 'STRLEN', 'ZCARD', 'ZCARD', 'STRLEN'}
local present = redis.pcall('HMGET', KEYS[1], 'epoch', 'board_version')
if present.err then
    redis.call('UNLINK', KEYS[1])
elseif present[1] == ARGV[1] and tonumber(present[2]) > tonumber(ARGV[3]) then
    redis.call('UNLINK', unpack(KEYS, #count + 2))
    return 0
end
-- What was staged may have vanished meanwhile, such as in a flush.
for n = 1, #count do
    if redis.call(count[n], KEYS[#count + 1 + n]) ~= tonumber(ARGV[7 + n]) then
        return redis.error_reply('NOTSTAGED the staged board is not complete')
    end
end
for n = 1, #count do
    local place, staged = KEYS[n + 1], KEYS[#count + 1 + n]
    if redis.call('EXISTS', staged) == 1 then
        redis.call('RENAME', staged, place)
        redis.call('PERSIST', place)
    else
        redis.call('UNLINK', place)
    end
end
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'settled_version', ARGV[2], 'board_version', ARGV[3],
    'computed_at', ARGV[4], 'members', ARGV[5], 'bases', ARGV[6], 'live', ARGV[7])
return 1
"""

READ_PAGE = """
-- Places of a board, and what ranks them. False when the stamp is another one, or the board is not what it says.
-- KEYS: stamp, scores, their distinct ones, and of a board with provisional points the settled scores
-- ARGV: epoch, settled_version, board_version, then a place:
--   'at', start, count | 'after', score, count, member | 'around', radius, 0, member
local stamp = redis.pcall('HMGET', KEYS[1], 'epoch', 'settled_version', 'board_version', 'members')
if stamp.err or stamp[1] ~= ARGV[1] or stamp[2] ~= ARGV[2] or stamp[3] ~= ARGV[3] then
    return false
end
local total, scores = redis.pcall('ZCARD', KEYS[2]), redis.pcall('ZCARD', KEYS[3])
if type(total) == 'table' or type(scores) == 'table' or total ~= tonumber(stamp[4]) or (total > 0 and scores == 0) then
    redis.call('UNLINK', KEYS[1])
    return false
end

-- Lua compares strings by locale; members are ordered by their bytes.
local function is_above(one, other)
    for n = 1, 16 do
        local a, b = string.byte(one, n) or 0, string.byte(other, n) or 0
        if a ~= b then return a < b end
    end
    return false
end

local function place_behind(score, member)
    local low = redis.call('ZCOUNT', KEYS[2], '-inf', '(' .. score)
    local high = low + redis.call('ZCOUNT', KEYS[2], score, score)
    while low < high do
        local middle = math.floor((low + high) / 2)
        if is_above(member, redis.call('ZRANGE', KEYS[2], middle, middle)[1]) then
            high = middle
        else
            low = middle + 1
        end
    end
    return low
end

local start, stop
if ARGV[4] == 'at' then
    start = tonumber(ARGV[5])
    stop = start + tonumber(ARGV[6]) - 1
elseif ARGV[4] == 'after' then
    start = place_behind(ARGV[5], ARGV[7])
    stop = start + tonumber(ARGV[6]) - 1
else
    local place = redis.call('ZRANK', KEYS[2], ARGV[7])
    if not place then
        return {0, 0, 0, 0, '', {}}
    end
    start = math.max(place - tonumber(ARGV[5]), 0)
    stop = place + tonumber(ARGV[5])
end

local rows = {}
if stop >= start then
    rows = redis.call('ZRANGE', KEYS[2], start, stop, 'WITHSCORES')
end
if #rows == 0 then
    return {start, 0, 0, 0, '', {}}
end
local first, last, above = rows[2], rows[#rows], ''
if start > 0 then
    above = redis.call('ZRANGE', KEYS[2], start - 1, start - 1, 'WITHSCORES')[2]
end
-- How many are better by settled scores, and the settled score, of each row.
local settled = {}
if KEYS[4] then
    for n = 1, #rows, 2 do
        local score = redis.call('ZSCORE', KEYS[4], rows[n])
        if not score then
            redis.call('UNLINK', KEYS[1])
            return false
        end
        settled[n] = redis.call('ZCOUNT', KEYS[4], '-inf', '(' .. score)
        settled[n + 1] = score
    end
end
local answer = {
    start,
    redis.call('ZCOUNT', KEYS[2], '-inf', '(' .. first),
    redis.call('ZCOUNT', KEYS[3], '-inf', '(' .. first),
    redis.call('ZCOUNT', KEYS[2], last, last),
    above,
    settled,
}
for n = 1, #rows do
    answer[#answer + 1] = rows[n]
end
return answer
"""
