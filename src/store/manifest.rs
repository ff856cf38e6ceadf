//! The content of a generation: a tree of objects, so that storing a generation costs only as much as it changes.
//!
//! ```text
//! root ──► 256 buckets ──► items (a definition: its identity, owner and files) ──► file contents
//!   └────► assets (path → content of files that definitions refer to)
//! ```
//!
//! A generation's digest is that of its root. Equal buckets have equal digests, so they are stored once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Micros, StoreError};
use crate::definition::Id;
use crate::text::Digest;

/// Objects by their digest.
pub type Objects = Vec<(Digest, Vec<u8>)>;

/// Number of buckets of a manifest: with 10,000 definitions each contains about 40.
const BUCKETS: usize = 256;

/// A document of a file, identified by the file's content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Part {
    /// Path from the environment's root, as shown to people.
    pub path: Arc<str>,
    /// Digest of the file's content.
    pub content: Digest,
    /// Place of the document in the file, from 0.
    pub index: u32,
}

/// One definition of a generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Item {
    /// Kind and name.
    #[serde(with = "id_as_text")]
    pub id: Id,
    /// Its identity: it stays the same across changes and moves, and when the definition is restored within the undo window.
    pub uid: String,
    /// Digest of its canonical document.
    pub digest: Digest,
    /// The document that declares it.
    pub base: Part,
    /// Documents that are merged over it, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patches: Vec<Part>,
    /// Line of its name in the file, from 1.
    pub line: u32,
    /// Its owner.
    pub owner: Owner,
}

/// Owner of a definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields, tag = "by")]
pub enum Owner {
    /// A source: read-only through the API.
    Source {
        /// The source's name.
        source: String,
        /// The revision that contains this content.
        revision: String,
    },
    /// It was written through the API: reconciling does not change it.
    Api {
        /// The person or program that wrote it.
        who: String,
        /// Time of the write.
        at: Micros,
        /// The given reason.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// End of its time as an override of the source's definition of this name; `None` if the source has none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Micros>,
    },
}

impl Item {
    /// True if it was written through the API.
    pub fn is_api_owned(&self) -> bool {
        matches!(self.owner, Owner::Api { .. })
    }

    /// End of its time as an override of the source's definition, in the store's time; `None` if it is no override.
    pub fn overrides_until(&self) -> Option<Micros> {
        match self.owner {
            Owner::Api { until, .. } => until,
            Owner::Source { .. } => None,
        }
    }

    /// Digests of all file contents that it needs.
    pub fn contents(&self) -> impl Iterator<Item = Digest> {
        std::iter::once(&self.base).chain(&self.patches).map(|part| part.content)
    }
}

/// All definitions of a generation.
#[derive(Clone, Debug, Default)]
pub struct Manifest {
    /// The operator's Environment document, if it takes precedence over the source's.
    pub environment: Option<Part>,
    /// Definitions by kind and name.
    pub items: BTreeMap<Id, Arc<Item>>,
    /// Contents of files that definitions refer to, by path from the environment's root.
    pub assets: BTreeMap<String, Digest>,
    encoded: Option<Arc<Encoded>>,
}

#[derive(Debug)]
struct Encoded {
    root: Digest,
    buckets: Vec<(Vec<Arc<Item>>, Option<Digest>)>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Root {
    version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    environment: Option<Part>,
    buckets: Vec<Option<Digest>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    assets: Option<Digest>,
}

impl Manifest {
    /// A manifest of definitions.
    pub fn new(
        environment: Option<Part>,
        items: BTreeMap<Id, Arc<Item>>,
        assets: BTreeMap<String, Digest>,
    ) -> Manifest {
        Manifest { environment, items, assets, encoded: None }
    }

    /// The digest of the whole, and the objects of its tree that `before` does not contain. The caller stores the objects
    /// of files.
    ///
    /// # Errors
    /// Fails if the manifest cannot be written as JSON, which is a defect of the program.
    pub fn encode(&mut self, before: Option<&Manifest>) -> Result<(Digest, Objects), StoreError> {
        let before = before.and_then(|before| before.encoded.as_deref());
        let mut grouped: Vec<Vec<Arc<Item>>> = vec![Vec::new(); BUCKETS];
        for (id, item) in &self.items {
            grouped[bucket_of(id)].push(Arc::clone(item));
        }
        let mut objects = Vec::new();
        let mut buckets = Vec::with_capacity(BUCKETS);
        for (at, items) in grouped.into_iter().enumerate() {
            let known = before.and_then(|before| before.buckets.get(at)).filter(|(known, _)| same(known, &items));
            let digest = match known {
                Some((_, digest)) => *digest,
                None if items.is_empty() => None,
                None => Some(object(&items, &mut objects)?),
            };
            buckets.push((items, digest));
        }
        let assets = match self.assets.is_empty() {
            true => None,
            false => Some(object(&self.assets, &mut objects)?),
        };
        let digests = buckets.iter().map(|(_, digest)| *digest).collect();
        let root = Root { version: 1, environment: self.environment.clone(), buckets: digests, assets };
        let root = object(&root, &mut objects)?;
        self.encoded = Some(Arc::new(Encoded { root, buckets }));
        Ok((root, objects))
    }

    /// Its digest; `None` before it was encoded or decoded.
    pub fn digest(&self) -> Option<Digest> {
        self.encoded.as_ref().map(|encoded| encoded.root)
    }

    /// Digests of the objects below a root: the first step of [`Manifest::decode`].
    ///
    /// # Errors
    /// Fails if the bytes are not those of a root.
    pub fn children(root: &[u8]) -> Result<Vec<Digest>, StoreError> {
        let root: Root = parsed(root)?;
        Ok(root.buckets.into_iter().flatten().chain(root.assets).collect())
    }

    /// Reads a manifest from its root and the objects that [`Manifest::children`] lists, in their order.
    ///
    /// # Errors
    /// Fails if they do not fit together, or were written by a newer version.
    pub fn decode(digest: Digest, root: &[u8], children: &[Vec<u8>]) -> Result<Manifest, StoreError> {
        let root: Root = parsed(root)?;
        if root.version != 1 || root.buckets.len() != BUCKETS {
            return Err(StoreError::Newer(format!("generation {digest} has format {}", root.version)));
        }
        let mut children = children.iter();
        let mut next = || children.next().ok_or(StoreError::Corrupt { digest, problem: "missing" });
        let mut items = BTreeMap::new();
        let mut buckets = Vec::with_capacity(BUCKETS);
        for bucket in &root.buckets {
            let bucket_items: Vec<Arc<Item>> = match bucket {
                Some(_) => parsed::<Vec<Item>>(next()?)?.into_iter().map(Arc::new).collect(),
                None => Vec::new(),
            };
            items.extend(bucket_items.iter().map(|item| (item.id.clone(), Arc::clone(item))));
            buckets.push((bucket_items, *bucket));
        }
        let assets = match root.assets {
            Some(_) => parsed(next()?)?,
            None => BTreeMap::new(),
        };
        let encoded = Some(Arc::new(Encoded { root: digest, buckets }));
        Ok(Manifest { environment: root.environment, items, assets, encoded })
    }

    /// Digests of all file contents that it needs.
    pub fn contents(&self) -> BTreeSet<Digest> {
        let items = self.items.values().flat_map(|item| item.contents());
        let environment = self.environment.iter().map(|part| part.content);
        items.chain(environment).chain(self.assets.values().copied()).collect()
    }
}

fn same(known: &[Arc<Item>], items: &[Arc<Item>]) -> bool {
    known.len() == items.len() && known.iter().zip(items).all(|(known, item)| Arc::ptr_eq(known, item) || known == item)
}

fn object<T: Serialize>(value: &T, objects: &mut Objects) -> Result<Digest, StoreError> {
    let bytes = serde_json::to_vec(value).map_err(|error| StoreError::Refused(error.to_string()))?;
    let digest = Digest::of(&bytes);
    objects.push((digest, bytes));
    Ok(digest)
}

fn parsed<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(bytes).map_err(|_| StoreError::Corrupt { digest: Digest::of(bytes), problem: "damaged" })
}

/// The bucket of a definition: FNV-1a of kind and name. Any distribution works, but it must never change.
fn bucket_of(id: &Id) -> usize {
    let bytes = id.kind.as_str().bytes().chain([b'/']).chain(id.name.bytes());
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    (hash >> 32) as usize % BUCKETS
}

mod id_as_text {
    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::definition::Id;

    pub(super) fn serialize<S: Serializer>(id: &Id, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Id, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::Kind;

    fn item(name: &str, content: &str) -> (Id, Arc<Item>) {
        let id = Id { kind: Kind::Connector, name: name.to_owned() };
        let content = Digest::of(content.as_bytes());
        let base = Part { path: format!("{name}.yaml").into(), content, index: 0 };
        let owner = Owner::Source { source: "main".into(), revision: "main@sha1:1".into() };
        let item = Item { id: id.clone(), uid: name.into(), digest: content, base, patches: vec![], line: 3, owner };
        (id, Arc::new(item))
    }

    fn manifest(names: impl IntoIterator<Item = (String, String)>) -> Manifest {
        let items = names.into_iter().map(|(name, content)| item(&name, &content)).collect();
        Manifest::new(None, items, BTreeMap::new())
    }

    fn decoded(digest: Digest, objects: &[(Digest, Vec<u8>)]) -> Manifest {
        let by_digest: BTreeMap<_, _> = objects.iter().cloned().collect();
        let root = &by_digest[&digest];
        let children: Vec<Vec<u8>> =
            Manifest::children(root).unwrap().iter().map(|digest| by_digest[digest].clone()).collect();
        Manifest::decode(digest, root, &children).unwrap()
    }

    #[test]
    fn a_manifest_is_decoded_as_it_was_encoded() {
        let mut one = manifest((0..1000).map(|n| (format!("c{n}"), format!("text {n}"))));
        one.assets.insert("flow.ts".into(), Digest::of(b"code"));
        let (digest, objects) = one.encode(None).unwrap();
        let two = decoded(digest, &objects);
        assert_eq!(one.items, two.items);
        assert_eq!((one.assets, Some(digest)), (two.assets.clone(), two.digest()));
    }

    #[test]
    fn one_change_writes_one_bucket_and_the_root() {
        let mut one = manifest((0..10_000).map(|n| (format!("c{n}"), format!("text {n}"))));
        one.encode(None).unwrap();
        let mut two = one.clone();
        two.items.extend([item("c77", "other")]);
        let (digest, objects) = two.encode(Some(&one)).unwrap();
        assert_eq!(objects.len(), 2);
        assert_ne!(Some(digest), one.digest());
        // Equal content has an equal digest, independent of its history.
        let mut three = two.clone();
        three.items.extend([item("c77", "text 77")]);
        three.encode(Some(&two)).unwrap();
        assert_eq!(three.digest(), one.digest());
    }

    #[test]
    fn bytes_that_are_not_a_manifest_are_refused() {
        assert!(Manifest::children(b"{}").is_err());
        let root = br#"{"version":9,"buckets":[]}"#;
        assert!(matches!(Manifest::decode(Digest::of(root), root, &[]), Err(StoreError::Newer(_))));
    }
}
