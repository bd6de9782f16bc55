"""Lua scripts of the projection. Each runs as one step: no reader sees half of a board or two versions on one page."""

SWAP = """
-- Put a staged board in place, unless a later state of the same epoch is there. Another epoch is always replaced.
-- KEYS: stamp, master_scores, distinct, order, facts, then the same four staged
-- ARGV: epoch, settled_version, board_version, computed_at, members, bases, distinct scores
local present = redis.pcall('HMGET', KEYS[1], 'epoch', 'board_version')
if present.err then
    redis.call('UNLINK', KEYS[1])
elseif present[1] == ARGV[1] and tonumber(present[2]) > tonumber(ARGV[3]) then
    redis.call('UNLINK', KEYS[6], KEYS[7], KEYS[8], KEYS[9])
    return 0
end
-- What was staged may have vanished meanwhile, such as in a flush.
if redis.call('ZCARD', KEYS[6]) ~= tonumber(ARGV[5]) or redis.call('ZCARD', KEYS[7]) ~= tonumber(ARGV[7])
    or redis.call('EXISTS', KEYS[8], KEYS[9]) ~= 2 then
    return redis.error_reply('NOTSTAGED the staged board is not complete')
end
for n = 2, 5 do
    if redis.call('EXISTS', KEYS[n + 4]) == 1 then
        redis.call('RENAME', KEYS[n + 4], KEYS[n])
        redis.call('PERSIST', KEYS[n])
    else
        redis.call('UNLINK', KEYS[n])
    end
end
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'settled_version', ARGV[2], 'board_version', ARGV[3],
    'computed_at', ARGV[4], 'members', ARGV[5], 'bases', ARGV[6])
return 1
"""

READ_PAGE = """
-- Places of a board, and what ranks them. False when the stamp is another one, or the board is not what it says.
-- KEYS: stamp, master_scores, distinct
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
        return {0, 0, 0, 0, ''}
    end
    start = math.max(place - tonumber(ARGV[5]), 0)
    stop = place + tonumber(ARGV[5])
end

local rows = {}
if stop >= start then
    rows = redis.call('ZRANGE', KEYS[2], start, stop, 'WITHSCORES')
end
if #rows == 0 then
    return {start, 0, 0, 0, ''}
end
local first, last, above = rows[2], rows[#rows], ''
if start > 0 then
    above = redis.call('ZRANGE', KEYS[2], start - 1, start - 1, 'WITHSCORES')[2]
end
local answer = {
    start,
    redis.call('ZCOUNT', KEYS[2], '-inf', '(' .. first),
    redis.call('ZCOUNT', KEYS[3], '-inf', '(' .. first),
    redis.call('ZCOUNT', KEYS[2], last, last),
    above,
}
for n = 1, #rows do
    answer[#answer + 1] = rows[n]
end
return answer
"""
