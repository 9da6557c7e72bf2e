//! `appliance::ports::InstancePort`: the one row of table `instance`.

use appliance::ports::{Instance, InstancePort, PortError};
use async_trait::async_trait;

use crate::Store;
use crate::columns::Columns;
use crate::database::{reading, writing};

const CREATE: &str =
    "INSERT INTO instance (singleton, id, created) VALUES (1, $1, $2) ON CONFLICT (singleton) DO NOTHING";
const READ: &str = "SELECT id, created FROM instance";

#[async_trait]
impl InstancePort for Store {
    async fn instance(&self, candidate: Instance) -> Result<Instance, PortError> {
        // Called once per start, so the insert is simply tried; whoever came first, the row never changes after it.
        let (id, created) = (&candidate.id, candidate.created.millis());
        writing!(self, |pool| sqlx::query(CREATE).bind(id).bind(created).execute(pool).await.map(drop))?;
        let kept = reading!(self, |pool| match sqlx::query(READ).fetch_one(pool).await {
            Ok(row) => instance(&row),
            Err(error) => Err(error),
        })?;
        Ok(kept)
    }
}

fn instance(row: &impl Columns) -> Result<Instance, sqlx::Error> {
    Ok(Instance { id: row.text("id")?, created: row.time("created")? })
}
