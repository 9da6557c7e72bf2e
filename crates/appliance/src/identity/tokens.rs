//! API tokens: made, looked at, taken away.

use std::time::Duration;

use auth::permit::{Denied, Principal, Scope, TokenId, UserId};
use auth::ports::{NewToken, Page};
use auth::random;
use auth::token::{LIFETIME_DEFAULT, LIFETIME_MAX, NAME_CHARS_MAX, TOKENS_MAX, Token, new_token, shown_part};
use model::secret::Secret;

use super::{Caller, Identity, IdentityError, Paged, page_limit};

/// What a token shall be.
#[derive(Clone, Debug, Default)]
pub struct TokenRequest {
    /// `None`: the caller's own.
    pub owner: Option<UserId>,
    pub name: String,
    pub scopes: Vec<Scope>,
    /// `None`: a year.
    pub lifetime: Option<Duration>,
}

/// A token was made.
#[derive(Clone, Debug)]
pub struct TokenMade {
    pub token: Token,
    /// The token itself: shown now and never again.
    pub secret: Secret,
}

impl Identity {
    pub async fn create_token(&self, caller: &Caller, request: &TokenRequest) -> Result<TokenMade, IdentityError> {
        // A token that could make tokens could not be taken away.
        if matches!(caller.principal, Principal::Token { .. }) {
            return Err(Denied::NotForTokens.into());
        }
        let Some(owner) = request.owner.or(caller.principal.user()) else {
            let reason = "expected the user whose token it shall be".to_owned();
            return Err(IdentityError::Invalid { field: "owner", reason });
        };
        self.permit_on(caller, owner, "token.create").await?;
        let owner = self.ports.account(owner).await?.ok_or(IdentityError::NotFound)?.user;
        let name = good_name(&request.name)?;
        let mut scopes = request.scopes.clone();
        scopes.sort_unstable();
        scopes.dedup();
        if scopes.is_empty() {
            return Err(IdentityError::Invalid { field: "scopes", reason: "expected at least one".to_owned() });
        }
        let lifetime = request.lifetime.unwrap_or(LIFETIME_DEFAULT);
        if lifetime.is_zero() || lifetime > LIFETIME_MAX {
            let reason = "expected more than nothing and at most ten years".to_owned();
            return Err(IdentityError::Invalid { field: "lifetime", reason });
        }
        let (secret, now) = (new_token()?, self.now());
        let prefix = shown_part(&secret);
        let new = NewToken {
            owner: owner.id,
            name: &name,
            prefix: &prefix,
            hash: random::hash(&secret),
            scopes: &scopes,
            at: now,
            expires: now.plus(lifetime),
            tokens_max: TOKENS_MAX,
        };
        let made = self.ports.create_token(&new).await?;
        let id = made.ok_or(IdentityError::TooMany { what: "tokens for one user", max: TOKENS_MAX })?;
        let words: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
        let object = format!("token {name} of user {}", owner.name);
        self.done(caller, "token.create", &object, &words.join(" ")).await?;
        let token = self.ports.token_by_id(id).await?.ok_or(IdentityError::NotFound)?;
        Ok(TokenMade { token, secret: Secret::new(secret) })
    }

    /// A user's tokens, or everybody's.
    pub async fn tokens(&self, caller: &Caller, of: Option<UserId>, page: Page) -> Result<Paged<Token>, IdentityError> {
        match of {
            Some(of) => self.permit_on(caller, of, "token.list").await?,
            None => self.administer(caller, "token.list", "all tokens").await?,
        }
        let limit = page_limit(page.limit);
        let tokens = self.ports.tokens(of, Page { after: page.after, limit: limit + 1 }).await?;
        Ok(Paged::of(tokens, limit, |token| token.id.0))
    }

    /// It does not work from now on.
    pub async fn revoke_token(&self, caller: &Caller, token: TokenId) -> Result<(), IdentityError> {
        let Some(token) = self.ports.token_by_id(token).await? else {
            // Who may not administer is told the same about what is not there and what is not theirs.
            self.administer(caller, "token.revoke", "a token that is not there").await?;
            return Err(IdentityError::NotFound);
        };
        self.permit_on(caller, token.owner, "token.revoke").await?;
        if !self.ports.delete_token(token.owner, token.id).await? {
            return Err(IdentityError::NotFound);
        }
        self.done(caller, "token.revoke", &format!("token {} of user {}", token.name, token.owner_name), "").await
    }
}

fn good_name(name: &str) -> Result<String, IdentityError> {
    let name = name.trim();
    let chars = name.chars().count();
    if chars == 0 || chars > NAME_CHARS_MAX || name.chars().any(char::is_control) {
        let reason = format!("expected 1 to {NAME_CHARS_MAX} characters, none of them a control character");
        return Err(IdentityError::Invalid { field: "name", reason });
    }
    Ok(name.to_owned())
}
