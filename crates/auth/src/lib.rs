//! Who somebody is and what they may do.
//!
//! Promises: deny by default, in one function ([`permit::authz`]); only hashes of session and API tokens are kept;
//! no text and no measurable time tells whether a user exists.
//! Not here: cookies and headers (`api`, `ui`), tables (`store`), when what is audited (`appliance`).

pub mod account;
pub mod audit;
pub mod forgery;
pub mod hasher;
pub mod memory;
pub mod password;
pub mod permit;
pub mod phc;
pub mod ports;
pub mod random;
pub mod recovery;
pub mod redirect;
pub mod seal;
pub mod session;
pub mod throttle;
pub mod token;
pub mod totp;
