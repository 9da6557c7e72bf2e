//! Reload and quit on request: who may ask, and what they are told.

use std::sync::Arc;

use yaml::Problems;

use crate::Appliance;

/// Why a request to reload or quit was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum LifecycleError {
    /// Without login only the flag of Prometheus opens these endpoints.
    #[error("the life cycle endpoints are closed: start with --web.enable-lifecycle")]
    Disabled,
    /// The new configuration is refused; the old one stays in force.
    #[error("{0}")]
    Reload(Arc<Problems>),
}

impl Appliance {
    /// Reads the configuration again: all of it takes effect, or nothing.
    pub async fn reload_by_request(&self) -> Result<(), LifecycleError> {
        self.lifecycle_open()?;
        self.reloader.reload("request").await.map_err(LifecycleError::Reload)
    }

    /// Asks the server to stop, as SIGTERM does.
    pub fn quit_by_request(&self) -> Result<(), LifecycleError> {
        self.lifecycle_open()?;
        self.quit.cancel();
        Ok(())
    }

    fn lifecycle_open(&self) -> Result<(), LifecycleError> {
        if self.lifecycle { Ok(()) } else { Err(LifecycleError::Disabled) }
    }
}
