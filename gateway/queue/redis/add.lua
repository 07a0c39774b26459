-- How a message enters a queue.
--
-- Its fields are those of its stream entry, in this order: message (its id, when it was sent by the wall clock, when it
-- was due in store time), body, then those it has of type, attributes, dedup, group, and, once it died, died_in,
-- reason, error, attempts, died. Fewer fields cost less at every step.
local function field(f, name)
    for i = 5, #f, 2 do
        if f[i] == name then return f[i + 1] end
    end
end

local function due_of(f)
    return tonumber(string.match(f[2], '%d+$'))
end

local function group_key(q, group)
    return P .. 'group:' .. #q.name .. ':' .. q.name .. ':' .. group
end

-- Queues without retention, now or earlier, need not be asked when messages expire.
local function expires(q)
    if q.expires == nil then q.expires = q.retention > 0 or call('EXISTS', q.expiry) == 1 end
    return q.expires
end

local function add(q, f, due)
    local group, position = field(f, 'group'), nil
    local behind = group and call('HEXISTS', q.heads, group) == 1
    if behind or due > now then
        local id = call('XADD', q.parked, '*', unpack(f))
        position = 'p' .. id
        if behind then
            call('RPUSH', group_key(q, group), id)
            count(q, 'blocked', 1)
        else
            call('ZADD', q.late, due, position)
            ready_in(math.max(0, due - now))
        end
    else
        position = call('XADD', q.stream, '*', unpack(f))
        ready_in(0)
    end
    if group and not behind then call('HSET', q.heads, group, 1) end
    if q.retention > 0 then call('ZADD', q.expiry, now + q.retention, position) end
end
