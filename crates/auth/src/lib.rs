//! Who somebody is and what they may do.
//!
//! Promises: deny by default, in one function ([`permit::authz`]); only hashes of session and API tokens are kept;
//! no text and no measurable time tells whether a user exists.
//! Not here: cookies and headers (`api`, `ui`), tables (`store`), when what is audited (`appliance`).

pub mod password;
pub mod permit;
pub mod random;
pub mod totp;
