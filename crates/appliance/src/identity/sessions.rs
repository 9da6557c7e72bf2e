//! Sessions: looking at them and ending them, one's own or, as an admin, anybody's.

use auth::permit::{Principal, SessionId, UserId};
use model::time::Timestamp;

use super::{Caller, Identity, IdentityError};

/// A session as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionView {
    pub id: SessionId,
    pub created: Timestamp,
    /// To the minute.
    pub last_seen: Timestamp,
    /// If it is not used any more.
    pub expires: Timestamp,
    pub address: String,
    pub agent: String,
    /// The one that is asking.
    pub current: bool,
}

impl Identity {
    /// Most recently used first.
    pub async fn sessions(&self, caller: &Caller, of: UserId) -> Result<Vec<SessionView>, IdentityError> {
        self.permit_on(caller, of, "session.list").await?;
        let (now, lifetime) = (self.now(), self.settings().session);
        let own = match &caller.principal {
            Principal::User { session, .. } => Some(*session),
            _ => None,
        };
        let sessions = self.ports.sessions(of).await?.into_iter().filter(|session| !lifetime.is_over(session, now));
        let views = sessions.map(|session| SessionView {
            id: session.id,
            created: session.created,
            last_seen: session.last_seen,
            expires: lifetime.ends(&session),
            current: own == Some(session.id),
            address: session.address,
            agent: session.agent,
        });
        Ok(views.collect())
    }

    pub async fn close_session(&self, caller: &Caller, of: UserId, session: SessionId) -> Result<(), IdentityError> {
        self.permit_on(caller, of, "session.close").await?;
        if !self.ports.close_session(of, session).await? {
            return Err(IdentityError::NotFound);
        }
        let object = format!("session {} of user number {}", session.0, of.0);
        self.done(caller, "session.close", &object, "").await
    }

    /// All of the caller's but this one; says how many.
    pub async fn close_other_sessions(&self, caller: &Caller) -> Result<u64, IdentityError> {
        let (account, session) = self.own(caller, "session.close_others").await?;
        let closed = self.ports.close_sessions(account.user.id, Some(session)).await?;
        self.done(caller, "session.close_others", "own sessions", &closed.to_string()).await?;
        Ok(closed)
    }
}
