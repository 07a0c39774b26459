-- ARGV: count, then for each receipt queue, id, receive count, action, delay, reason, error, attempts. Reply: time,
-- milliseconds until what is retried is due, and for each 0 (settled), 1 (stale) or 2 (no dead letter queue).
local FIELDS = 8
local SETTLED, STALE, UNBURIED = 0, 1, 2
local n = tonumber(ARGV[3])
local states, done = {}, {}

local function read_states()
    local ids = {}
    for i = 0, n - 1 do
        local name = ARGV[4 + i * FIELDS]
        ids[name] = ids[name] or {}
        table.insert(ids[name], ARGV[5 + i * FIELDS])
    end
    for name, wanted in pairs(ids) do
        local found, known = call('HMGET', queue(name).state, unpack(wanted)), {}
        for i, id in ipairs(wanted) do known[id] = found[i] end
        states[name], done[name] = known, {}
    end
end

local actions = {}

-- Acknowledged ones are removed together in the end.
actions['0'] = function(q, id)
    count(q, 'acknowledged', 1)
    table.insert(done[q.name], id)
    return SETTLED
end

actions['1'] = function(q, id, at, state)
    count(q, 'retried', 1)
    call('ZADD', q.late, now + tonumber(ARGV[at + 4]), id)
    call('ZREM', q.flight, id)
    call('HSET', q.state, id, 'W' .. string.sub(state, 2))
    ready_in(q, tonumber(ARGV[at + 4]))
    return SETTLED
end

actions['2'] = function(q, id, at)
    if not q.dead_letter then return UNBURIED end
    local f = find(q, id)
    if not f then return STALE end
    count(q, 'buried', 1)
    bury(q, id, f, ARGV[at + 5], ARGV[at + 6], ARGV[at + 7])
    return SETTLED
end

actions['3'] = function(q, id, at)
    call('ZADD', q.flight, now + tonumber(ARGV[at + 4]), id)
    return SETTLED
end

-- An extension or a burial that was refused leaves the receipt good for what follows.
local function settle_one(at)
    local q, id, action = queue(ARGV[at]), ARGV[at + 1], ARGV[at + 3]
    local state = states[q.name][id]
    if not state then return STALE end
    local place, received = string.match(state, '^(%a) (%d+)')
    if place ~= 'F' or received ~= ARGV[at + 2] then return STALE end
    local result = actions[action](q, id, at, state)
    if action ~= '3' and result == SETTLED then states[q.name][id] = false end
    return result
end

local reply, groups = {now, -1}, {}
read_states()
for i = 0, n - 1 do
    local at = 4 + i * FIELDS
    local state = states[ARGV[at]][ARGV[at + 1]]
    reply[#reply + 1] = settle_one(at)
    if ARGV[at + 3] == '0' and reply[#reply] == SETTLED then
        local _, _, _, _, group = state_read(state)
        if group ~= '' then groups[#groups + 1] = {ARGV[at], group} end
    end
end
for name, ids in pairs(done) do drop(queue(name), ids) end
for _, g in ipairs(groups) do advance(queue(g[1]), g[2]) end
finish()
reply[2] = soon
return reply
