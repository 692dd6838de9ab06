-- Whose events there are. A number is never given twice; the rows of one owner are those from `number << 33` on.
-- `name` is NULL when all of it is forgotten and its rows have yet to go.
CREATE TABLE owners (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT UNIQUE,
    next INTEGER NOT NULL DEFAULT 0
) STRICT;

-- One row for each event. `row` is `owner << 33 | sequence`, `at` milliseconds of Unix time, `id` the 16 bytes of a
-- UUID. What is looked at most comes first, so that a long text need not be read for it.
CREATE TABLE events (
    row INTEGER PRIMARY KEY,
    owner INTEGER NOT NULL,
    at INTEGER NOT NULL,
    id BLOB NOT NULL,
    session_id TEXT NOT NULL,
    event TEXT NOT NULL,
    user TEXT NOT NULL,
    agent TEXT NOT NULL,
    task_id TEXT NOT NULL,
    role TEXT NOT NULL,
    truncated INTEGER NOT NULL,
    model TEXT NOT NULL,
    tokens INTEGER NOT NULL,
    request_id TEXT NOT NULL,
    state TEXT NOT NULL,
    run_id TEXT NOT NULL,
    level TEXT NOT NULL,
    content TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX events_by_id ON events (id);
CREATE INDEX events_by_owner ON events (owner, at, id);
CREATE INDEX events_by_time ON events (at, id);
CREATE INDEX events_by_session ON events (substr(session_id, 1, 16), owner, at, id);

-- Where a text lies among others: 32-bit floats, the least byte first.
CREATE TABLE vectors (
    row INTEGER PRIMARY KEY,
    vector BLOB NOT NULL
) STRICT;

-- The words of texts, each with a sign of how much it weighs in its text. Words are found and weighed before they
-- come here: all that is left to the tokenizer is to part them at spaces and to drop accents.
CREATE VIRTUAL TABLE words USING fts5 (
    text,
    content = '',
    contentless_delete = 1,
    detail = 'none',
    tokenize = "unicode61 remove_diacritics 2 categories 'L* M* N* P* S* C*'"
);

-- What has been forgotten and still stands, hidden, in the index of words.
CREATE TABLE hidden (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    rows INTEGER NOT NULL
) STRICT;
INSERT INTO hidden VALUES (1, 0);
