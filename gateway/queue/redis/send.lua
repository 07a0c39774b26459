-- One call: for each message queue, size, delay, body, id, sent, type, attributes, dedup, group; what is absent is empty.
-- Reply: soon, then for each 0 or the id of the first message with its dedup id; or soon, 'refused', index, limit of
-- the size.
local FIELDS = 10
local OPTIONAL = {'type', 'attributes', 'dedup', 'group'}

local function earlier(q, dedup, id)
    local key = P .. 'dedup:' .. #q.name .. ':' .. q.name .. ':' .. dedup
    local known = call('GET', key)
    if known then
        local until_ms, first = string.match(known, '^(%d+) (.*)$')
        if tonumber(until_ms) > now then return first end
    end
    -- Redis forgets it some time later; until then the time within is what counts.
    call('SET', key, (now + q.dedup_window) .. ' ' .. id, 'PX', q.dedup_window + 60000)
end

local function send_one(a, at)
    local q, due = queue(a[at]), now + tonumber(a[at + 2])
    local id, dedup = a[at + 4], a[at + 8]
    local first = dedup ~= '' and earlier(q, dedup, id)
    if first then
        count(q, 'duplicates', 1)
        return first
    end
    local f = {'id', id, 'sent', a[at + 5], 'due', tostring(due), 'body', a[at + 3]}
    for i = 1, 4 do
        local value = a[at + 5 + i]
        if value ~= '' then
            f[#f + 1] = OPTIONAL[i]
            f[#f + 1] = value
        end
    end
    add(q, f, due)
    count(q, 'sent', 1)
    return 0
end

local function run(a)
    for at = 1, #a, FIELDS do
        local limit = queue(a[at]).size_limit
        if tonumber(a[at + 1]) > limit then return {-1, 'refused', (at - 1) / FIELDS, limit} end
    end
    local reply = {-1}
    for at = 1, #a, FIELDS do reply[#reply + 1] = send_one(a, at) end
    reply[1] = soon
    return reply
end
