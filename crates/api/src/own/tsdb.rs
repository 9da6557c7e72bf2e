//! `/tsdb`: what the operator of the storage may ask for.

use appliance::identity::Caller;
use appliance::metrics::MetricsError;
use appliance::surface::Method;
use auth::permit::Action;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing;

use super::problem::Problem;
use super::{Doc, Table, own_path};
use crate::App;

pub(crate) fn register(table: &mut Table) {
    let doc = Doc::new("Seal what is in memory and bring the files of samples to their final form");
    table.add(Method::Post, own_path!("/tsdb/flush"), Action::Operate, doc, routing::post(flush));
}

async fn flush(State(app): State<App>, Extension(caller): Extension<Caller>) -> Result<StatusCode, Problem> {
    match app.metrics.flush(&caller).await {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(MetricsError::Denied(denied)) => Err(Problem::new(StatusCode::FORBIDDEN, denied.to_string())),
        Err(MetricsError::AdminClosed | MetricsError::ReceiverClosed) => Err(Problem::new(
            StatusCode::FORBIDDEN,
            "without login this needs the server to be started with --web.enable-admin-api".to_owned(),
        )),
        Err(MetricsError::Query(error)) => Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
    }
}
