//! One's own account: password, second factor, recovery codes.
//!
//! What changes how somebody proves who they are asks for the password once more, moves the session to another token,
//! and ends the others.

use auth::account::{Account, User};
use auth::permit::{Denied, SessionId};
use auth::ports::PasswordChange;
use auth::random::{self, TokenHash};
use auth::{recovery, session, totp};
use model::secret::Secret;

use super::{Caller, Identity, IdentityError, seed_purpose};

/// What authenticator apps call us.
const ISSUER: &str = "Watchpost";

/// A seed to be taken into an authenticator app: shown once, asked for only after [`Identity::confirm_totp`].
#[derive(Clone, Debug)]
pub struct TotpStart {
    /// To type.
    pub seed_base32: Secret,
    /// To draw as a QR code.
    pub otpauth_url: Secret,
}

/// The second factor is on.
#[derive(Clone, Debug)]
pub struct TotpDone {
    /// Shown once.
    pub recovery_codes: Vec<Secret>,
    /// What the browser keeps from now on.
    pub token: Secret,
}

impl Identity {
    pub async fn me(&self, caller: &Caller) -> Result<User, IdentityError> {
        Ok(self.own(caller, "account.read").await?.0.user)
    }

    /// Ends every other session. The answer is what the browser keeps from now on.
    pub async fn change_password(
        &self,
        caller: &Caller,
        current: &Secret,
        new: &Secret,
    ) -> Result<Secret, IdentityError> {
        let (account, session) = self.prove(caller, current, "password.change").await?;
        if current == new {
            return Err(IdentityError::Invalid { field: "password", reason: "expected another one".to_owned() });
        }
        let hash = self.new_hash(new, &account.user.name).await?;
        let change = PasswordChange {
            user: account.user.id,
            password_hash: hash.expose(),
            temporary_until: None,
            keep: Some(session),
            seen_hash: Some(account.password_hash.expose()),
        };
        if !self.ports.set_password(&change).await? {
            return Err(IdentityError::Stale);
        }
        let token = self.rotate(session).await?;
        self.done(caller, "password.change", "own account", "").await?;
        Ok(token)
    }

    /// Makes a seed and shows it. Nothing is asked for until a code proves that it arrived.
    pub async fn begin_totp(&self, caller: &Caller, password: &Secret) -> Result<TotpStart, IdentityError> {
        let (account, _) = self.prove(caller, password, "totp.begin").await?;
        if account.user.second_factor {
            let reason = "it is on already, switch it off first".to_owned();
            return Err(IdentityError::Invalid { field: "totp", reason });
        }
        let seed: [u8; totp::SEED_BYTES] = random::bytes()?;
        let sealed = self.key.seal(&seed_purpose(account.user.id), &seed)?;
        self.ports.set_totp_pending(account.user.id, &sealed).await?;
        Ok(TotpStart {
            seed_base32: Secret::new(totp::base32(&seed)),
            otpauth_url: Secret::new(totp::otpauth_url(ISSUER, &account.user.name, &seed)),
        })
    }

    /// Switches the second factor on. Sessions that were opened without it end.
    pub async fn confirm_totp(&self, caller: &Caller, code: &str) -> Result<TotpDone, IdentityError> {
        let (account, session) = self.own(caller, "totp.confirm").await?;
        let user = account.user.id;
        let Some(sealed) = &account.totp_pending else { return Err(IdentityError::NotFound) };
        let seed = self.key.open_sealed(&seed_purpose(user), sealed)?;
        let step = totp::accept(&seed, code, self.now(), None).ok_or(IdentityError::WrongCode)?;
        let (codes, hashes) = new_codes()?;
        if !self.ports.confirm_totp(user, sealed, step, &hashes).await? {
            return Err(IdentityError::Stale);
        }
        self.ports.close_sessions(user, Some(session)).await?;
        let token = self.rotate(session).await?;
        self.done(caller, "totp.confirm", "own account", "").await?;
        Ok(TotpDone { recovery_codes: codes, token })
    }

    pub async fn disable_totp(&self, caller: &Caller, password: &Secret) -> Result<(), IdentityError> {
        let (account, _) = self.prove(caller, password, "totp.disable").await?;
        self.ports.clear_totp(account.user.id).await?;
        self.done(caller, "totp.disable", "own account", "").await
    }

    /// New codes; the old ones do not work any more.
    pub async fn regenerate_recovery_codes(
        &self,
        caller: &Caller,
        password: &Secret,
    ) -> Result<Vec<Secret>, IdentityError> {
        let (account, _) = self.prove(caller, password, "recovery_codes.renew").await?;
        needs_second_factor(&account)?;
        let (codes, hashes) = new_codes()?;
        self.ports.replace_recovery_codes(account.user.id, &hashes).await?;
        self.done(caller, "recovery_codes.renew", "own account", "").await?;
        Ok(codes)
    }

    async fn rotate(&self, session: SessionId) -> Result<Secret, IdentityError> {
        let token = session::new_token()?;
        if !self.ports.rotate_session(session, &random::hash(&token)).await? {
            return Err(Denied::NotAuthenticated.into());
        }
        Ok(Secret::new(token))
    }
}

fn needs_second_factor(account: &Account) -> Result<(), IdentityError> {
    if account.user.second_factor {
        return Ok(());
    }
    let reason = "recovery codes belong to a second factor, switch it on first".to_owned();
    Err(IdentityError::Invalid { field: "totp", reason })
}

fn new_codes() -> Result<(Vec<Secret>, Vec<TokenHash>), IdentityError> {
    let codes = recovery::new_codes()?;
    let hashes = codes.iter().filter_map(|code| recovery::hash(code)).collect();
    Ok((codes.into_iter().map(Secret::new).collect(), hashes))
}
