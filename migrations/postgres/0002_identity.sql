-- Who may do what. Times are milliseconds since 1970 UTC; hashes are SHA-256.
-- Numbers of accounts are never used again: an old number in the audit log means one person.
CREATE TABLE account (
    id              BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name            TEXT COLLATE "C" NOT NULL UNIQUE,
    role            TEXT    NOT NULL CHECK (role IN ('viewer', 'editor', 'admin')),
    disabled        BOOLEAN NOT NULL DEFAULT FALSE,
    created         BIGINT  NOT NULL,
    last_login      BIGINT,
    password_hash   TEXT    NOT NULL,
    temporary_until BIGINT,
    totp_seed       BYTEA,
    totp_pending    BYTEA,
    totp_last_step  BIGINT,
    version         BIGINT  NOT NULL DEFAULT 1
);

CREATE TABLE recovery_code (
    user_id BIGINT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    hash    BYTEA  NOT NULL,
    PRIMARY KEY (user_id, hash)
);

CREATE TABLE setup_link (
    hash    BYTEA  NOT NULL PRIMARY KEY,
    expires BIGINT NOT NULL
);

CREATE TABLE session (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id    BIGINT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    token_hash BYTEA  NOT NULL UNIQUE,
    created    BIGINT NOT NULL,
    last_seen  BIGINT NOT NULL,
    address    TEXT   NOT NULL,
    agent      TEXT   NOT NULL
);
CREATE INDEX session_of_user ON session (user_id, last_seen);

CREATE TABLE api_token (
    id        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner_id  BIGINT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    name      TEXT   NOT NULL,
    prefix    TEXT   NOT NULL,
    hash      BYTEA  NOT NULL UNIQUE,
    scopes    TEXT   NOT NULL,
    created   BIGINT NOT NULL,
    expires   BIGINT NOT NULL,
    last_used BIGINT
);
CREATE INDEX api_token_of_owner ON api_token (owner_id);

-- Attempts to log in, by network, account and both.
CREATE TABLE attempt_counter (
    key   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    level BIGINT NOT NULL,
    at    BIGINT NOT NULL
);
CREATE INDEX attempt_counter_at ON attempt_counter (at);

-- One row. Its lock makes changes to who may administer, and new rows of the audit log, happen one after another.
CREATE TABLE identity_state (
    singleton       BIGINT NOT NULL PRIMARY KEY CHECK (singleton = 1),
    account_changes BIGINT NOT NULL,
    audit_sequence  BIGINT NOT NULL,
    audit_hash      BYTEA  NOT NULL,
    key_mark        BYTEA
);
INSERT INTO identity_state (singleton, account_changes, audit_sequence, audit_hash)
VALUES (1, 0, 0, decode(repeat('00', 32), 'hex'));

CREATE TABLE audit (
    sequence   BIGINT NOT NULL PRIMARY KEY,
    at         BIGINT NOT NULL,
    actor_kind TEXT   NOT NULL,
    actor      TEXT   NOT NULL,
    address    TEXT   NOT NULL,
    action     TEXT   NOT NULL,
    object     TEXT   NOT NULL,
    result     TEXT   NOT NULL CHECK (result IN ('ok', 'refused', 'failed')),
    detail     TEXT   NOT NULL,
    hash       BYTEA  NOT NULL
);
CREATE INDEX audit_actor ON audit (actor, sequence);
CREATE INDEX audit_action ON audit (action, sequence);
CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of the audit log are neither changed nor taken out' USING ERRCODE = '23000';
END
$$;
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE OR DELETE ON audit
    FOR EACH ROW EXECUTE FUNCTION refuse_audit_change();
CREATE TRIGGER audit_is_not_emptied BEFORE TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();
