-- Who this installation is. One row, made by whoever starts first and never changed.
CREATE TABLE instance (
    singleton INTEGER NOT NULL PRIMARY KEY CHECK (singleton = 1),
    id        TEXT    NOT NULL,
    created   INTEGER NOT NULL
) STRICT;

-- When the calendar jobs ran and are due. Times are milliseconds since 1970 UTC.
-- A lease that lies in the past belongs to a run that its process did not survive.
CREATE TABLE job (
    name          TEXT    NOT NULL PRIMARY KEY,
    schedule      TEXT    NOT NULL,
    next_due      INTEGER NOT NULL,
    last_due      INTEGER,
    last_started  INTEGER,
    last_finished INTEGER,
    last_error    TEXT,
    last_late     INTEGER NOT NULL DEFAULT 0 CHECK (last_late IN (0, 1)),
    runs          INTEGER NOT NULL DEFAULT 0,
    failures      INTEGER NOT NULL DEFAULT 0,
    lease_runner  TEXT,
    lease_until   INTEGER,
    CHECK ((lease_runner IS NULL) = (lease_until IS NULL))
) STRICT;
