//! What the server answers to: each route with the action it performs, whoever serves it.
//!
//! Invariant: a route cannot be written down without an action, so the gate that is built from a surface leaves none
//! out. Generic over the handler, because handlers belong to a web framework and this crate to none.
//! Not here: the router and the gate (the binary makes one of each from all surfaces), who may (`auth::permit`).

use auth::permit::Action;

/// The methods that routes of ours have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    pub const ALL: [Self; 5] = [Self::Get, Self::Post, Self::Put, Self::Patch, Self::Delete];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    /// Whether a request may change something, and so must prove where it comes from.
    #[must_use]
    pub const fn changes(self) -> bool {
        !matches!(self, Self::Get)
    }
}

/// Who calls it, and so how a refusal looks and how callers may prove who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A person's browser: known by its cookie; sent to the login page.
    Page,
    /// A person's browser or a program: cookie or token; a refusal says how to call.
    Api,
    /// Programs only: a cookie is not looked at.
    Machine,
    /// The same for everybody.
    Asset,
}

/// What a route is, but for its handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    pub path: &'static str,
    pub action: Action,
    pub kind: Kind,
}

/// A route and what answers it.
#[derive(Clone, Debug)]
pub struct Entry<H> {
    pub method: Method,
    pub path: &'static str,
    pub action: Action,
    pub kind: Kind,
    pub handler: H,
}

/// Routes of one dialect, or of all of them.
#[derive(Clone, Debug)]
pub struct Surface<H> {
    entries: Vec<Entry<H>>,
}

impl<H> Default for Surface<H> {
    fn default() -> Self {
        Self { entries: Vec::new() }
    }
}

impl<H> Surface<H> {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn get(self, route: Route, handler: H) -> Self {
        self.on(Method::Get, route, handler)
    }

    #[must_use]
    pub fn post(self, route: Route, handler: H) -> Self {
        self.on(Method::Post, route, handler)
    }

    #[must_use]
    pub fn put(self, route: Route, handler: H) -> Self {
        self.on(Method::Put, route, handler)
    }

    #[must_use]
    pub fn patch(self, route: Route, handler: H) -> Self {
        self.on(Method::Patch, route, handler)
    }

    #[must_use]
    pub fn delete(self, route: Route, handler: H) -> Self {
        self.on(Method::Delete, route, handler)
    }

    #[must_use]
    pub fn on(mut self, method: Method, route: Route, handler: H) -> Self {
        let Route { path, action, kind } = route;
        self.entries.push(Entry { method, path, action, kind, handler });
        self
    }

    /// Both.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.entries.extend(other.entries);
        self
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Entry<H>> {
        self.entries.iter()
    }

    /// Routes that are written down twice: the second would never be reached.
    #[must_use]
    pub fn repeated(&self) -> Vec<(Method, &'static str)> {
        let mut seen = std::collections::BTreeSet::new();
        self.iter().map(|entry| (entry.method, entry.path)).filter(|route| !seen.insert(*route)).collect()
    }
}

impl<H> IntoIterator for Surface<H> {
    type Item = Entry<H>;
    type IntoIter = std::vec::IntoIter<Entry<H>>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

impl<'s, H> IntoIterator for &'s Surface<H> {
    type Item = &'s Entry<H>;
    type IntoIter = std::slice::Iter<'s, Entry<H>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: Route = Route { path: "/users", action: Action::Administer, kind: Kind::Page };
    const HEALTH: Route = Route { path: "/health", action: Action::Public, kind: Kind::Machine };

    #[test]
    fn every_route_keeps_its_action_and_its_place() {
        let surface = Surface::new().get(USERS, "list").post(USERS, "add").merge(Surface::new().get(HEALTH, "health"));
        let routes: Vec<_> = surface.iter().map(|e| (e.method.as_str(), e.path, e.action, e.kind, e.handler)).collect();
        assert_eq!(
            routes,
            [
                ("GET", "/users", Action::Administer, Kind::Page, "list"),
                ("POST", "/users", Action::Administer, Kind::Page, "add"),
                ("GET", "/health", Action::Public, Kind::Machine, "health"),
            ]
        );
        assert_eq!(surface.into_iter().count(), 3);
    }

    #[test]
    fn a_route_that_is_written_down_twice_is_named() {
        let surface = Surface::new().put(USERS, 1).patch(USERS, 2).delete(USERS, 3).put(USERS, 4);
        assert_eq!(surface.repeated(), [(Method::Put, "/users")]);
        assert_eq!(Surface::<u8>::new().repeated(), []);
    }

    #[test]
    fn only_reading_changes_nothing() {
        let reading: Vec<Method> = Method::ALL.into_iter().filter(|method| !method.changes()).collect();
        assert_eq!(reading, [Method::Get]);
    }
}
