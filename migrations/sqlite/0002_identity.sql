-- Who may do what. Times are milliseconds since 1970 UTC; hashes are SHA-256.
-- Numbers of accounts are never used again (AUTOINCREMENT): an old number in the audit log means one person.
CREATE TABLE account (
    id              INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    name            TEXT    NOT NULL UNIQUE,
    role            TEXT    NOT NULL CHECK (role IN ('viewer', 'editor', 'admin')),
    disabled        INTEGER NOT NULL DEFAULT 0 CHECK (disabled IN (0, 1)),
    created         INTEGER NOT NULL,
    last_login      INTEGER,
    password_hash   TEXT    NOT NULL,
    temporary_until INTEGER,
    totp_seed       BLOB,
    totp_pending    BLOB,
    totp_last_step  INTEGER,
    version         INTEGER NOT NULL DEFAULT 1
) STRICT;

CREATE TABLE recovery_code (
    user_id INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    hash    BLOB    NOT NULL,
    PRIMARY KEY (user_id, hash)
) STRICT;

CREATE TABLE setup_link (
    hash    BLOB    NOT NULL PRIMARY KEY,
    expires INTEGER NOT NULL
) STRICT;

CREATE TABLE session (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    user_id    INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    token_hash BLOB    NOT NULL UNIQUE,
    created    INTEGER NOT NULL,
    last_seen  INTEGER NOT NULL,
    address    TEXT    NOT NULL,
    agent      TEXT    NOT NULL
) STRICT;
CREATE INDEX session_of_user ON session (user_id, last_seen);

CREATE TABLE api_token (
    id        INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    owner_id  INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    name      TEXT    NOT NULL,
    prefix    TEXT    NOT NULL,
    hash      BLOB    NOT NULL UNIQUE,
    scopes    TEXT    NOT NULL,
    created   INTEGER NOT NULL,
    expires   INTEGER NOT NULL,
    last_used INTEGER
) STRICT;
CREATE INDEX api_token_of_owner ON api_token (owner_id);

-- Attempts to log in, by network, account and both.
CREATE TABLE attempt_counter (
    key   TEXT    NOT NULL PRIMARY KEY,
    level INTEGER NOT NULL,
    at    INTEGER NOT NULL
) STRICT;
CREATE INDEX attempt_counter_at ON attempt_counter (at);

-- One row. Its lock makes changes to who may administer, and new rows of the audit log, happen one after another.
CREATE TABLE identity_state (
    singleton       INTEGER NOT NULL PRIMARY KEY CHECK (singleton = 1),
    account_changes INTEGER NOT NULL,
    audit_sequence  INTEGER NOT NULL,
    audit_hash      BLOB    NOT NULL,
    key_mark        BLOB
) STRICT;
INSERT INTO identity_state (singleton, account_changes, audit_sequence, audit_hash) VALUES (1, 0, 0, zeroblob(32));

CREATE TABLE audit (
    sequence   INTEGER NOT NULL PRIMARY KEY,
    at         INTEGER NOT NULL,
    actor_kind TEXT    NOT NULL,
    actor      TEXT    NOT NULL,
    address    TEXT    NOT NULL,
    action     TEXT    NOT NULL,
    object     TEXT    NOT NULL,
    result     TEXT    NOT NULL CHECK (result IN ('ok', 'refused', 'failed')),
    detail     TEXT    NOT NULL,
    hash       BLOB    NOT NULL
) STRICT;
CREATE INDEX audit_actor ON audit (actor, sequence);
CREATE INDEX audit_action ON audit (action, sequence);
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'rows of the audit log are not changed');
END;
CREATE TRIGGER audit_is_not_shortened BEFORE DELETE ON audit
BEGIN
    SELECT RAISE(ABORT, 'rows of the audit log are not taken out');
END;
