//! Where the targets of a job come from: every `*_sd_configs` list, those we act on and those we only read.

use yaml::{Context, Place, Spanned};

use super::unsupported::a_to_k::{
    Aws, Azure, Consul, DigitalOcean, DockerSwarm, Ec2, Eureka, Gce, Hetzner, Ionos, Kuma,
};
use super::unsupported::l_to_z::{
    Lightsail, Linode, Marathon, Nerve, Nomad, Oci, OpenStack, Outscale, OvhCloud, PuppetDb, Scaleway, ServerSet,
    Stackit, Triton, Uyuni, Vultr,
};
use crate::discovery::{DnsSdConfig, DockerSdConfig, FileSdConfig, HttpSdConfig, KubernetesSdConfig, StaticConfig};

/// One way in which a job finds targets.
#[derive(Clone, Debug, PartialEq)]
pub enum Mechanism {
    Static(StaticConfig),
    File(FileSdConfig),
    Http(HttpSdConfig),
    Dns(DnsSdConfig),
    Docker(DockerSdConfig),
    Kubernetes(KubernetesSdConfig),
    /// Read and checked, and not acted on.
    Unsupported(Unsupported),
}

/// A mechanism that we only know by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// `consul_sd_configs`
    pub key: &'static str,
    pub place: Place,
}

/// A list of blocks; an empty item is kept, because it is refused in words that name the list.
type Section<T> = Vec<Spanned<Option<T>>>;

/// Declares the record of all sections, with those that are only read listed apart.
macro_rules! sections {
    (acted on { $($(#[doc = $doc:literal])* $key:ident: $ty:ident => $variant:ident),* $(,)? }
     read only { $($other:ident: $other_ty:ident),* $(,)? }) => {
        yaml::record! {
            /// Every way of finding targets.
            #[yaml(check = Discovery::check)]
            pub struct Discovery {
                $( $(#[doc = $doc])* pub $key: Section<$ty>, )*
                $(
                    /// Known, not supported: the job goes on without these targets.
                    pub $other: Section<$other_ty>,
                )*
            }
        }

        impl Discovery {
            fn check(&self, _: &yaml::At<'_>, cx: &mut Context) {
                $( refuse_empty(stringify!($key), &self.$key, cx); )*
                $( refuse_empty(stringify!($other), &self.$other, cx); )*
            }

            /// Every block, in the order of the declaration.
            #[must_use]
            pub fn mechanisms(&self) -> Vec<Mechanism> {
                let mut mechanisms = Vec::new();
                $( mechanisms.extend(self.$key.iter().filter_map(|block| block.value.clone()).map(Mechanism::$variant)); )*
                mechanisms.extend(self.unsupported().into_iter().map(Mechanism::Unsupported));
                mechanisms
            }

            /// The blocks that are not acted on.
            #[must_use]
            pub fn unsupported(&self) -> Vec<Unsupported> {
                let mut unsupported = Vec::new();
                $( unsupported.extend(self.$other.iter().map(|block| {
                    Unsupported { key: stringify!($other), place: block.place.clone() }
                })); )*
                unsupported
            }
        }
    };
}

fn refuse_empty<T>(key: &str, section: &Section<T>, cx: &mut Context) {
    for block in section.iter().filter(|block| block.value.is_none()) {
        cx.problem(&block.place, format!("empty or null section in {key}"));
    }
}

sections! {
    acted on {
        /// Docker containers.
        docker_sd_configs: DockerSdConfig => Docker,
        /// Names in DNS.
        dns_sd_configs: DnsSdConfig => Dns,
        /// Files with lists of targets.
        file_sd_configs: FileSdConfig => File,
        /// Servers that answer with lists of targets.
        http_sd_configs: HttpSdConfig => Http,
        /// Kubernetes clusters.
        kubernetes_sd_configs: KubernetesSdConfig => Kubernetes,
        /// Addresses that stand here.
        static_configs: StaticConfig => Static,
    }
    read only {
        aws_sd_configs: Aws,
        azure_sd_configs: Azure,
        consul_sd_configs: Consul,
        digitalocean_sd_configs: DigitalOcean,
        dockerswarm_sd_configs: DockerSwarm,
        ec2_sd_configs: Ec2,
        eureka_sd_configs: Eureka,
        gce_sd_configs: Gce,
        hetzner_sd_configs: Hetzner,
        ionos_sd_configs: Ionos,
        kuma_sd_configs: Kuma,
        lightsail_sd_configs: Lightsail,
        linode_sd_configs: Linode,
        marathon_sd_configs: Marathon,
        nerve_sd_configs: Nerve,
        nomad_sd_configs: Nomad,
        oci_sd_configs: Oci,
        openstack_sd_configs: OpenStack,
        outscale_sd_configs: Outscale,
        ovhcloud_sd_configs: OvhCloud,
        puppetdb_sd_configs: PuppetDb,
        scaleway_sd_configs: Scaleway,
        serverset_sd_configs: ServerSet,
        stackit_sd_configs: Stackit,
        triton_sd_configs: Triton,
        uyuni_sd_configs: Uyuni,
        vultr_sd_configs: Vultr,
    }
}

impl Discovery {
    /// Refuses addresses that are URLs. Prometheus does so only where no rule could make addresses of them.
    pub fn refuse_urls(&self, cx: &mut Context) {
        let groups = self.static_configs.iter().filter_map(|block| block.value.as_ref());
        for target in groups.flat_map(|group| &group.targets).filter(|target| target.value.contains('/')) {
            cx.problem(&target.place, format!("{:?} is not a valid hostname", target.value));
        }
    }
}
