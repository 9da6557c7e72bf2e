//! `/live`, `/ready`, `/health`, Prometheus's names for them, and the certificate of the local authority.

use std::sync::Arc;

use appliance::health::{Health, Phase};
use appliance::identity::Caller;
use auth::permit::Principal;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use net::forwarded::ClientAddress;

use crate::App;
use crate::error::ApiError;

/// `GET /live`: the event loop answers.
pub async fn live(State(health): State<Arc<Health>>) -> Response {
    Json(health.short()).into_response()
}

/// `GET /ready`: requests are served.
pub async fn ready(State(health): State<Arc<Health>>) -> Response {
    (ready_status(&health), Json(health.short())).into_response()
}

/// `GET /health`: everything for callers on this machine and those who are known, the short form for anybody else.
pub async fn health(
    State(health): State<Arc<Health>>,
    Extension(client): Extension<ClientAddress>,
    Extension(caller): Extension<Caller>,
) -> Response {
    let report = health.full();
    let status = if report.status == "unhealthy" { StatusCode::SERVICE_UNAVAILABLE } else { ready_status(&health) };
    // Without login everybody is `Local`, so only the address says who is on this machine.
    let known = matches!(caller.principal, Principal::User { .. } | Principal::Token { .. });
    if client.loopback || known {
        (status, Json(report)).into_response()
    } else {
        (status, Json(health.short())).into_response()
    }
}

/// `GET /-/healthy`, in Prometheus's words, which scripts compare.
pub async fn prometheus_healthy() -> &'static str {
    "Prometheus Server is Healthy.\n"
}

/// `GET /-/ready`
pub async fn prometheus_ready(State(health): State<Arc<Health>>) -> Response {
    match health.phase() {
        Phase::Ready => "Prometheus Server is Ready.\n".into_response(),
        phase => {
            let stopping = if phase == Phase::Stopping { "true" } else { "false" };
            (StatusCode::SERVICE_UNAVAILABLE, [("X-Prometheus-Stopping", stopping)], "Service Unavailable")
                .into_response()
        }
    }
}

/// `GET /ca.crt`: what a client must trust where the server made its own certificate.
pub async fn ca_certificate(State(app): State<App>) -> Result<Response, ApiError> {
    let Some(pem) = app.ca_certificate() else {
        let text = "there is no local certificate authority: server.tls.mode is not auto";
        return Err(ApiError::plain(StatusCode::NOT_FOUND, text));
    };
    let headers = [
        (header::CONTENT_TYPE, "application/x-pem-file"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"watchpost-ca.crt\""),
    ];
    Ok((headers, pem).into_response())
}

fn ready_status(health: &Health) -> StatusCode {
    if health.phase() == Phase::Ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}
