//! Requests signed for a cloud: `sigv4`, `azuread`, `google_iam`. Read and checked as Prometheus does; nothing is signed.

use model::secret::Secret;
use yaml::schema::Shape;
use yaml::{At, Context, Decode, Encode, Node, Schema, Spanned};

yaml::record! {
    /// Amazon's signature, version 4.
    #[yaml(check = SigV4::check)]
    pub struct SigV4 {
        pub region: Option<Spanned<String>>,
        pub access_key: Option<String>,
        pub secret_key: Option<Secret>,
        pub profile: Option<String>,
        pub role_arn: Option<String>,
        pub external_id: Option<String>,
        pub use_fips_sts_endpoint: Option<bool>,
        pub service_name: Option<String>,
    }
}

impl SigV4 {
    fn check(&self, at: &At<'_>, cx: &mut Context) {
        let access = self.access_key.as_ref().is_some_and(|key| !key.is_empty());
        let secret = self.secret_key.as_ref().is_some_and(|key| !key.is_empty());
        if access != secret {
            let sentence =
                "must provide a AWS SigV4 Access key and Secret Key if credentials are specified in the SigV4 config";
            cx.problem(at.map(), sentence);
        }
    }
}

yaml::record! {
    /// A token of Entra ID, once Azure AD.
    #[yaml(check = AzureAd::check)]
    pub struct AzureAd {
        pub managed_identity: Option<ManagedIdentity>,
        pub oauth: Option<AzureOAuth>,
        pub sdk: Option<AzureSdk>,
        pub workload_identity: Option<WorkloadIdentity>,
        pub cloud: Option<Cloud>,
        pub scope: Option<String>,
    }
}

yaml::record! {
    /// The identity of the machine.
    pub struct ManagedIdentity {
        pub client_id: Option<String>,
    }
}

yaml::record! {
    /// The identity of an application.
    pub struct AzureOAuth {
        pub client_id: String,
        pub client_secret: Secret,
        pub tenant_id: String,
    }
}

yaml::record! {
    /// Whatever Azure's library finds.
    pub struct AzureSdk {
        pub tenant_id: Option<String>,
    }
}

yaml::record! {
    /// The identity of a pod.
    pub struct WorkloadIdentity {
        pub client_id: Option<String>,
        pub tenant_id: Option<String>,
        pub token_file_path: Option<String>,
    }
}

/// The name of one of Microsoft's clouds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cloud(pub String);

impl Decode for Cloud {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let text = cx.text(node, "the name of a cloud")?;
        if !["AzurePublic", "AzureChina", "AzureGovernment"].contains(&text.as_str()) {
            cx.problem(&node.place, "must provide a cloud in the Azure AD config");
            return None;
        }
        Some(Self(text))
    }
}

impl Encode for Cloud {
    fn encode(&self) -> Node {
        Node::text(self.0.as_str())
    }
}

impl Schema for Cloud {
    fn shape() -> Shape {
        Shape::one("AzurePublic, AzureChina or AzureGovernment")
    }
}

impl AzureAd {
    fn check(&self, at: &At<'_>, cx: &mut Context) {
        let given: Vec<&str> = [
            ("Azure Managed Identity", self.managed_identity.is_some()),
            ("Azure OAuth", self.oauth.is_some()),
            ("Azure SDK", self.sdk.is_some()),
            ("Azure Workload Identity", self.workload_identity.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, given)| given.then_some(name))
        .collect();
        match given.as_slice() {
            [] => {
                let sentence = "must provide an Azure Managed Identity, Azure OAuth, Azure Workload Identity or Azure \
                                SDK in the Azure AD config";
                cx.problem(at.map(), sentence);
            }
            [_] => {}
            [first, second, ..] => {
                cx.problem(at.map(), format!("cannot provide both {first} and {second} in the Azure AD config"));
            }
        }
        let identity = self.managed_identity.as_ref().and_then(|identity| identity.client_id.as_deref());
        if identity.is_some_and(|id| !id.is_empty() && !is_uuid(id)) {
            cx.problem(at.key("managed_identity"), "the provided Azure Managed Identity client_id is invalid");
        }
        if let Some(oauth) = &self.oauth {
            oauth.check(at, cx);
        }
    }
}

impl AzureOAuth {
    fn check(&self, at: &At<'_>, cx: &mut Context) {
        let missing = [
            ("client_id", self.client_id.is_empty()),
            ("client_secret", self.client_secret.is_empty()),
            ("tenant_id", self.tenant_id.is_empty()),
        ];
        for (key, _) in missing.iter().filter(|(_, missing)| *missing) {
            let sentence = format!("must provide an Azure OAuth {key} in the Azure AD config");
            cx.problem(at.key("oauth"), sentence);
        }
        if !self.client_id.is_empty() && !is_uuid(&self.client_id) {
            cx.problem(at.key("oauth"), "the provided Azure OAuth client_id is invalid");
        }
    }
}

/// Five groups of hexadecimal digits, as people write them.
fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    let lengths = [8, 4, 4, 4, 12];
    groups.len() == lengths.len()
        && groups
            .iter()
            .zip(lengths)
            .all(|(group, length)| group.len() == length && group.bytes().all(|b| b.is_ascii_hexdigit()))
}

yaml::record! {
    /// A token of Google Cloud.
    pub struct GoogleIam {
        pub credentials_file: Option<String>,
    }
}
