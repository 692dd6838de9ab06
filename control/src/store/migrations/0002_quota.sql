-- Accounts that live here: the bytes of an entry, and the second from which nothing of it counts any more.
CREATE TABLE quota_entries (
    key BLOB PRIMARY KEY,
    entry BLOB NOT NULL,
    ends INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX quota_entries_by_end ON quota_entries (ends);

-- What operations were answered, so that the same one again changes nothing. `at` is seconds of Unix time.
CREATE TABLE quota_answers (
    id TEXT PRIMARY KEY,
    at INTEGER NOT NULL,
    answer BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX quota_answers_by_time ON quota_answers (at);

-- What this control has relayed to Redis: what was used, by account and slot, and until when it counts.
-- `window` is seconds, 0: a day, -1: a month.
CREATE TABLE quota_spent (
    key BLOB NOT NULL,
    window INTEGER NOT NULL,
    slot INTEGER NOT NULL,
    tokens INTEGER NOT NULL,
    ends INTEGER NOT NULL,
    PRIMARY KEY (key, window, slot)
) STRICT, WITHOUT ROWID;
CREATE INDEX quota_spent_by_end ON quota_spent (ends);

-- And what workers held when they were heard of last. `stamp` is microseconds of Redis's clock: the later one is
-- right. An amount of 0 stays for a while, so that an older word does not bring it back.
CREATE TABLE quota_leases (
    key BLOB NOT NULL,
    worker TEXT NOT NULL,
    amount INTEGER NOT NULL,
    renewed INTEGER NOT NULL,
    stamp INTEGER NOT NULL,
    ends INTEGER NOT NULL,
    PRIMARY KEY (key, worker)
) STRICT, WITHOUT ROWID;
CREATE INDEX quota_leases_by_end ON quota_leases (ends);

-- Who this control is among those that share a Redis, and the others it has seen there lately.
CREATE TABLE quota_members (
    name TEXT PRIMARY KEY,
    -- 1: this one, before it has seen any epoch; 2: this one; 0: another.
    own INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
