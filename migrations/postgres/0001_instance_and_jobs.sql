-- Who this installation is. One row, made by whoever starts first and never changed.
CREATE TABLE instance (
    singleton BIGINT NOT NULL PRIMARY KEY CHECK (singleton = 1),
    id        TEXT   NOT NULL,
    created   BIGINT NOT NULL
);

-- When the calendar jobs ran and are due. Times are milliseconds since 1970 UTC.
-- A lease that lies in the past belongs to a run that its process did not survive.
-- Names sort by their bytes, as SQLite does and whatever the database's own collation is.
CREATE TABLE job (
    name          TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    schedule      TEXT    NOT NULL,
    next_due      BIGINT  NOT NULL,
    last_due      BIGINT,
    last_started  BIGINT,
    last_finished BIGINT,
    last_error    TEXT,
    last_late     BOOLEAN NOT NULL DEFAULT FALSE,
    runs          BIGINT  NOT NULL DEFAULT 0,
    failures      BIGINT  NOT NULL DEFAULT 0,
    lease_runner  TEXT,
    lease_until   BIGINT,
    CHECK ((lease_runner IS NULL) = (lease_until IS NULL))
);
