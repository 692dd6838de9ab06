-- One row for each version of a document. `created` is milliseconds of Unix time. What was forgotten while later
-- versions name it stays as an empty row: the versions keep their numbers and their way to the first.
CREATE TABLE documents (
    seq INTEGER PRIMARY KEY,
    mem_id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    agent TEXT NOT NULL,
    parent TEXT,
    version INTEGER NOT NULL,
    created INTEGER NOT NULL,
    forgotten INTEGER NOT NULL DEFAULT 0,
    -- What the client said that a retry says again.
    retry_key TEXT,
    title TEXT NOT NULL,
    content_type TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    content TEXT NOT NULL
) STRICT;
CREATE INDEX documents_by_owner ON documents (owner, created, mem_id);
CREATE INDEX documents_by_time ON documents (created) WHERE forgotten = 0;
CREATE INDEX documents_by_parent ON documents (parent) WHERE parent IS NOT NULL;
CREATE UNIQUE INDEX documents_by_retry ON documents (owner, retry_key) WHERE retry_key IS NOT NULL;

-- How much each owner has, empty rows included.
CREATE TABLE document_owners (
    owner TEXT PRIMARY KEY,
    rows INTEGER NOT NULL,
    bytes INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TRIGGER documents_in AFTER INSERT ON documents BEGIN
    INSERT INTO document_owners VALUES (new.owner, 1, new.bytes)
        ON CONFLICT (owner) DO UPDATE SET rows = rows + 1, bytes = bytes + new.bytes;
END;
CREATE TRIGGER documents_emptied AFTER UPDATE OF bytes ON documents BEGIN
    UPDATE document_owners SET bytes = bytes - old.bytes + new.bytes WHERE owner = new.owner;
END;
CREATE TRIGGER documents_out AFTER DELETE ON documents BEGIN
    UPDATE document_owners SET rows = rows - 1, bytes = bytes - old.bytes WHERE owner = old.owner;
    DELETE FROM document_owners WHERE owner = old.owner AND rows = 0;
END;

-- Who else may read a version, and the task that it was handed over with.
CREATE TABLE document_shares (
    mem_id TEXT NOT NULL REFERENCES documents (mem_id) ON DELETE CASCADE,
    party TEXT NOT NULL,
    task_id TEXT NOT NULL,
    created INTEGER NOT NULL,
    PRIMARY KEY (mem_id, party, task_id)
) STRICT, WITHOUT ROWID;
