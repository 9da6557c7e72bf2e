//! Reload and quit on request: who may ask, and what they are told. Each is written into the audit log.

use std::sync::Arc;

use auth::audit::AuditResult;
use auth::permit::{Action, Denied, Object, Principal, authz};
use yaml::Problems;

use crate::Appliance;
use crate::identity::{Caller, What};

/// Why a request to reload or quit was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum LifecycleError {
    /// Without login only the flag of Prometheus opens these endpoints.
    #[error("the life cycle endpoints are closed: start with --web.enable-lifecycle")]
    Disabled,
    #[error("{0}")]
    Denied(Denied),
    /// The new configuration is refused; the old one stays in force.
    #[error("{0}")]
    Reload(Arc<Problems>),
}

impl Appliance {
    /// Reads the configuration again: all of it takes effect, or nothing.
    pub async fn reload_by_request(&self, caller: &Caller) -> Result<(), LifecycleError> {
        self.may_operate(caller, "server.reload").await?;
        let outcome = self.reloader.reload("request").await;
        let (result, detail) = match &outcome {
            Ok(()) => (AuditResult::Ok, String::new()),
            Err(problems) => (AuditResult::Failed, format!("{} problems", problems.len())),
        };
        self.note(caller, "server.reload", result, &detail).await;
        outcome.map_err(LifecycleError::Reload)
    }

    /// Asks the server to stop, as SIGTERM does.
    pub async fn quit_by_request(&self, caller: &Caller) -> Result<(), LifecycleError> {
        self.may_operate(caller, "server.quit").await?;
        self.note(caller, "server.quit", AuditResult::Ok, "").await;
        self.quit.cancel();
        Ok(())
    }

    async fn may_operate(&self, caller: &Caller, deed: &str) -> Result<(), LifecycleError> {
        let refusal = match authz(&caller.principal, Action::Operate, Object::Server) {
            Err(denied) => LifecycleError::Denied(denied),
            Ok(()) if caller.principal == Principal::Local && !self.lifecycle => LifecycleError::Disabled,
            Ok(()) => return Ok(()),
        };
        self.note(caller, deed, AuditResult::Refused, &refusal.to_string()).await;
        Err(refusal)
    }

    async fn note(&self, caller: &Caller, action: &str, result: AuditResult, detail: &str) {
        if let Err(error) = self.identity.record(caller, What { action, object: "server", result, detail }).await {
            tracing::warn!(%error, action, "the audit log could not be written");
        }
    }
}
