-- What the gateways of a cluster do inside Redis, each as one change. KEYS[1] is the prefix of every key, with the hash
-- tag that keeps all of them on one server; ARGV[1] says what, ARGV[2] is the tag of the gateway that asks (of `post`:
-- of the one that gets it).
--
-- `nodes`: a sorted set of tags by the end of their lease, in Redis' own time, the only clock that counts here; `owners`:
-- which process took a tag; `seen`: when anybody last renewed a lease; `outage`: when somebody did after a lease's time
-- in which nobody had; `dead:TAG`: it was declared dead, and says nothing any more; `buried`: dead ones that left
-- something. Of a node: `sessions:TAG`, its connections; `orphans:TAG`, connections of dead nodes that it looks
-- after; `groups:TAG`, the groups that it has members of. `group:NAME`: the tags that have some.
local P, tag = KEYS[1], ARGV[2]
local call, KEPT_MS, RETURN_MS = redis.call, 86400000, 10000
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local run = {}

local function is_dead()
    return call('EXISTS', P .. 'dead:' .. tag) == 1
end

local function leave_groups(node)
    for _, name in ipairs(call('SMEMBERS', P .. 'groups:' .. node)) do call('SREM', P .. 'group:' .. name, node) end
    call('DEL', P .. 'groups:' .. node)
end

local function is_empty(node)
    return call('EXISTS', P .. 'sessions:' .. node, P .. 'orphans:' .. node) == 0
end

local function bury(node)
    call('ZREM', P .. 'nodes', node)
    call('HDEL', P .. 'owners', node)
    call('SET', P .. 'dead:' .. node, 1, 'PX', KEPT_MS)
    leave_groups(node)
    if not is_empty(node) then call('SADD', P .. 'buried', node) end
end

-- After Redis was away for everybody, the first who is back must not take the others for dead: they have not had the
-- time to come back, which takes up to ten seconds (redis_link.h).
local function note_outage(lease_ms)
    local seen = call('GET', P .. 'seen')
    call('SET', P .. 'seen', now)
    if seen and now - seen > lease_ms and call('ZCARD', P .. 'nodes') > 0 then call('SET', P .. 'outage', now) end
end

local function is_after_outage(lease_ms)
    return now - (call('GET', P .. 'outage') or 0) < lease_ms + RETURN_MS
end

-- A lease is taken or renewed: NONCE LEASE_MS.
function run.beat()
    local owner = call('HGET', P .. 'owners', tag)
    if is_dead() or (owner and owner ~= ARGV[3]) then return {'dead'} end
    note_outage(tonumber(ARGV[4]))
    call('HSET', P .. 'owners', tag, ARGV[3])
    call('ZADD', P .. 'nodes', now + ARGV[4], tag)
    local left = call('SCARD', P .. 'buried') + call('ZCOUNT', P .. 'nodes', '-inf', '(' .. now)
    return {owner and 'known' or 'new', left, call('ZRANGE', P .. 'nodes', 0, -1)}
end

local changes = {
    wipe = function()
        call('DEL', P .. 'sessions:' .. tag)
        leave_groups(tag)
    end,
    put = function(id, record) call('HSET', P .. 'sessions:' .. tag, id, record) end,
    ['end'] = function(id)
        call('HDEL', P .. 'sessions:' .. tag, id)
        call('HDEL', P .. 'orphans:' .. tag, id)
    end,
    enter = function(name)
        call('SADD', P .. 'group:' .. name, tag)
        call('SADD', P .. 'groups:' .. tag, name)
    end,
    leave = function(name)
        call('SREM', P .. 'group:' .. name, tag)
        call('SREM', P .. 'groups:' .. tag, name)
    end,
}

-- What has changed at a node, in order: three words each.
function run.write()
    if is_dead() then return 'dead' end
    for i = 3, #ARGV, 3 do changes[ARGV[i]](ARGV[i + 1], ARGV[i + 2]) end
    return 'done'
end

-- How many have heard it. One that was declared dead must not, or it would do what others believe undone; one that is
-- not known may be about to come back, as after Redis was emptied.
function run.post()
    if is_dead() then return -2 end
    local heard = call('PUBLISH', P .. 'to:' .. tag, ARGV[3])
    if heard == 0 and not call('ZSCORE', P .. 'nodes', tag) then return -1 end
    return heard
end

-- At most `room` entries of a dead node's hash become our orphans.
local function take_over(from, room)
    local taken = room > 0 and call('HRANDFIELD', from, room, 'WITHVALUES') or {}
    for i = 1, #taken, 2 do
        call('HSET', P .. 'orphans:' .. tag, taken[i], taken[i + 1])
        call('HDEL', from, taken[i])
    end
    return room - #taken / 2
end

-- MOST LEASE_MS: those whose lease is over are declared dead, and what dead ones left is taken over until we look after
-- MOST: all of those are the answer.
function run.adopt()
    if is_dead() then return {} end
    local expired = is_after_outage(tonumber(ARGV[4])) and {} or call('ZRANGEBYSCORE', P .. 'nodes', '-inf', '(' .. now)
    for _, node in ipairs(expired) do
        if node ~= tag then bury(node) end
    end
    local room = ARGV[3] - call('HLEN', P .. 'orphans:' .. tag)
    for _, node in ipairs(call('SMEMBERS', P .. 'buried')) do
        room = take_over(P .. 'sessions:' .. node, room)
        room = take_over(P .. 'orphans:' .. node, room)
        if is_empty(node) then call('SREM', P .. 'buried', node) end
    end
    return call('HGETALL', P .. 'orphans:' .. tag)
end

-- An orderly end; what it has not dealt with is left to others.
function run.quit()
    bury(tag)
    return 'done'
end

return run[ARGV[1]]()
