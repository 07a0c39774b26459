-- One call: for each receipt queue, id, receive count, action, and what else it needs in MessagePack: delay, reason,
-- error, attempts. Reply: milliseconds until there may be something to receive, and for each 0 (settled), 1 (stale) or 2
-- (no dead letter queue).
local FIELDS = 5
local SETTLED, STALE, UNBURIED = 0, 1, 2
local ACK, EXTEND = '0', '3'

-- By queue and id, in one question to each queue.
local function read_states(a, first, last)
    local ids, states = {}, {}
    for at = first, last, FIELDS do
        local of_queue = ids[a[at]]
        if not of_queue then
            of_queue = {}
            ids[a[at]] = of_queue
        end
        of_queue[#of_queue + 1] = a[at + 1]
    end
    for name, wanted in pairs(ids) do
        local found, by_id = call('HMGET', queue(name).state, unpack(wanted)), {}
        for i = 1, #wanted do by_id[wanted[i]] = found[i] end
        states[name] = by_id
    end
    return states
end

local actions = {}

actions['1'] = function(q, id, more, state)
    local delay = tonumber(more[1])
    count(q, 'retried', 1)
    call('ZADD', q.late, now + delay, id)
    call('ZREM', q.flight, id)
    call('HSET', q.state, id, 'W' .. string.sub(state, 2))
    ready_in(delay)
    return SETTLED
end

actions['2'] = function(q, id, more)
    if not q.dead_letter then return UNBURIED end
    local f = find(q, id)
    if not f then return STALE end
    count(q, 'buried', 1)
    bury(q, id, f, more[2], more[3], more[4])
    return SETTLED
end

actions[EXTEND] = function(q, id, more)
    call('ZADD', q.flight, now + tonumber(more[1]), id)
    return SETTLED
end

-- Acknowledged ones are removed together in the end, and only then their groups move on.
local acknowledged, groups
actions[ACK] = function(q, id, _, state)
    local ids, group = acknowledged[q], state_read(state).group
    if not ids then
        ids = {}
        acknowledged[q] = ids
    end
    ids[#ids + 1] = id
    if group then groups[#groups + 1] = {q, group} end
    return SETTLED
end

-- An extension or a burial that was refused leaves the receipt good for what follows.
local function settle_one(a, at, states)
    local name, id, action = a[at], a[at + 1], a[at + 3]
    local state = states[name][id]
    if not state then return STALE end
    local p = state_read(state)
    if p.place ~= 'F' or p.received ~= a[at + 2] then return STALE end
    local more = action ~= ACK and cmsgpack.unpack(a[at + 4])
    local result = actions[action](queue(name), id, more, state)
    if action ~= EXTEND and result == SETTLED then states[name][id] = false end
    return result
end

local function run(a, first, last)
    local states, reply = read_states(a, first, last), {-1}
    acknowledged, groups = {}, {}
    for at = first, last, FIELDS do reply[#reply + 1] = settle_one(a, at, states) end
    for q, ids in pairs(acknowledged) do
        drop(q, ids)
        count(q, 'acknowledged', #ids)
    end
    for _, g in ipairs(groups) do advance(g[1], g[2]) end
    reply[1] = soon
    return reply
end
