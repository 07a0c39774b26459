-- ARGV: count, then for each message queue, size, delay, body, id, sent, type, attributes, dedup, group; what is
-- absent is empty. Reply: time, milliseconds until one of them can be received, and for each 0 or the id of the first
-- message with its dedup id; or time, 'refused', index, limit of the size.
local FIELDS = 10
local n = tonumber(ARGV[3])
for i = 0, n - 1 do
    local q = queue(ARGV[4 + i * FIELDS])
    if tonumber(ARGV[5 + i * FIELDS]) > q.size_limit then return {now, 'refused', i, q.size_limit} end
end

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

local function send_one(at)
    local q, due = queue(ARGV[at]), now + tonumber(ARGV[at + 2])
    local id, dedup = ARGV[at + 4], ARGV[at + 8]
    local first = dedup ~= '' and earlier(q, dedup, id)
    if first then
        count(q, 'duplicates', 1)
        return first
    end
    local f = {'id', id, 'sent', ARGV[at + 5], 'due', tostring(due), 'body', ARGV[at + 3]}
    local names = {'type', 'attributes', 'dedup', 'group'}
    for i = 1, 4 do
        local value = ARGV[at + 5 + i]
        if value ~= '' then
            f[#f + 1] = names[i]
            f[#f + 1] = value
        end
    end
    add(q, f, due)
    count(q, 'sent', 1)
    return 0
end

local reply = {now, -1}
for i = 0, n - 1 do reply[#reply + 1] = send_one(4 + i * FIELDS) end
finish()
reply[2] = soon
return reply
