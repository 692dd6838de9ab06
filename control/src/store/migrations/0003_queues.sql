-- Whose an event is, where that is known: what somebody wants forgotten must not leave later.
ALTER TABLE outbox ADD COLUMN owner TEXT;
ALTER TABLE outbox ADD COLUMN session TEXT;
ALTER TABLE set_aside ADD COLUMN owner TEXT;
ALTER TABLE set_aside ADD COLUMN session TEXT;
CREATE INDEX outbox_by_owner ON outbox (owner) WHERE owner IS NOT NULL;
CREATE INDEX set_aside_by_owner ON set_aside (owner) WHERE owner IS NOT NULL;

-- Several kinds of events wait, each for a receiver of its own: none searches through another's.
CREATE INDEX outbox_by_kind ON outbox (kind, seq);
CREATE INDEX set_aside_by_kind ON set_aside (kind, seq);

-- How much of each kind there is: counting a million takes too long to be done for each batch.
CREATE TABLE queue_sizes (
    queue TEXT NOT NULL,
    kind TEXT NOT NULL,
    rows INTEGER NOT NULL,
    -- Of the payloads.
    bytes INTEGER NOT NULL,
    PRIMARY KEY (queue, kind)
) STRICT, WITHOUT ROWID;
INSERT INTO queue_sizes SELECT 'outbox', kind, count(*), sum(octet_length(payload)) FROM outbox GROUP BY kind;
INSERT INTO queue_sizes
SELECT 'set_aside', kind, count(*), sum(octet_length(payload)) FROM set_aside GROUP BY kind;
DROP TRIGGER outbox_in;
DROP TRIGGER outbox_out;
DROP TRIGGER set_aside_in;
DROP TRIGGER set_aside_out;
DROP TABLE row_counts;
CREATE TRIGGER outbox_in AFTER INSERT ON outbox
BEGIN
    INSERT INTO queue_sizes VALUES ('outbox', NEW.kind, 1, octet_length(NEW.payload))
    ON CONFLICT (queue, kind) DO UPDATE SET rows = rows + 1, bytes = bytes + octet_length(NEW.payload);
END;
CREATE TRIGGER outbox_out AFTER DELETE ON outbox
BEGIN
    UPDATE queue_sizes SET rows = rows - 1, bytes = bytes - octet_length(OLD.payload)
    WHERE queue = 'outbox' AND kind = OLD.kind;
END;
CREATE TRIGGER set_aside_in AFTER INSERT ON set_aside
BEGIN
    INSERT INTO queue_sizes VALUES ('set_aside', NEW.kind, 1, octet_length(NEW.payload))
    ON CONFLICT (queue, kind) DO UPDATE SET rows = rows + 1, bytes = bytes + octet_length(NEW.payload);
END;
CREATE TRIGGER set_aside_out AFTER DELETE ON set_aside
BEGIN
    UPDATE queue_sizes SET rows = rows - 1, bytes = bytes - octet_length(OLD.payload)
    WHERE queue = 'set_aside' AND kind = OLD.kind;
END;
