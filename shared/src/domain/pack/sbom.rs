//! The parts of a release (CycloneDX 1.6), from the lock file that it was built by: the same lock file gives the same bytes.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::checks::Finding;
use super::files::Files;
use super::layout::{SBOM, hash};
use crate::base::hash::sha256;
use crate::base::limits::DOCUMENT_BYTES_MAX;
use crate::domain::history::Json;

/// A lock file that no list can be made of.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadLock {
    /// Not the form of Cargo's.
    #[error("not a lock file of Cargo, expected tables [[package]]")]
    Form,
    /// Two packages that cannot be told apart.
    #[error("package {0} is in the lock file twice")]
    Twice(String),
    /// A package that is not there.
    #[error("package {of} names {name}, which is not in the lock file")]
    Unknown {
        /// Who names it.
        of: String,
        /// What it names.
        name: String,
    },
}

#[derive(Deserialize)]
struct Lock {
    package: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    source: Option<String>,
    checksum: Option<String>,
    #[serde(default)]
    dependencies: Vec<String>,
}

/// The list of all packages of a lock file, as the parts of a product; those without a source are the product's own.
///
/// # Errors
///
/// A text that is no lock file, or does not hold together.
pub fn sbom(product: &str, version: &str, lock: &str) -> Result<String, BadLock> {
    let packages = toml::from_str::<Lock>(lock)
        .map_err(|_| BadLock::Form)?
        .package;
    let (mut components, mut needs) = (BTreeMap::new(), BTreeMap::new());
    let named = names(&packages);
    let own: BTreeSet<String> = packages
        .iter()
        .filter(|one| one.source.is_none())
        .map(Package::reference)
        .collect();
    for package in &packages {
        let reference = package.reference();
        needs.insert(reference.clone(), package.needs(&named)?);
        if components
            .insert(reference.clone(), package.component())
            .is_some()
        {
            return Err(BadLock::Twice(reference));
        }
    }
    needs.insert(product.to_owned(), own);
    let dependencies = needs.into_iter().map(|(reference, needs)| {
        let needs = needs.into_iter().map(Json::from).collect();
        Json::object([("dependsOn", Json::List(needs)), ("ref", reference.into())])
    });
    let bom = Json::object([
        ("bomFormat", FORMAT.into()),
        ("components", Json::List(components.into_values().collect())),
        ("dependencies", Json::List(dependencies.collect())),
        ("metadata", metadata(product, version, lock)),
        ("specVersion", SPEC_VERSION.into()),
        ("version", 1u32.into()),
    ]);
    Ok(bom.to_text())
}

fn metadata(product: &str, version: &str, lock: &str) -> Json {
    let component = Json::object([
        ("bom-ref", product.into()),
        ("name", product.into()),
        ("type", "application".into()),
        ("version", version.into()),
    ]);
    let property =
        |name: &str, value: &str| Json::object([("name", name.into()), ("value", value.into())]);
    let digest = sha256(lock.as_bytes()).to_string();
    let properties = vec![
        property("aquifer:cargo-lock:sha256", &digest),
        property("aquifer:scope", SCOPE),
    ];
    Json::object([
        ("component", component),
        ("properties", Json::List(properties)),
    ])
}

/// References by name.
fn names(packages: &[Package]) -> BTreeMap<&str, Vec<&Package>> {
    let mut named: BTreeMap<&str, Vec<&Package>> = BTreeMap::new();
    for package in packages {
        named.entry(&package.name).or_default().push(package);
    }
    named
}

impl Package {
    /// A package URL where it comes from a registry, else name and version.
    fn reference(&self) -> String {
        match self.source {
            Some(_) => format!(
                "pkg:cargo/{}@{}",
                self.name,
                self.version.replace('+', "%2B")
            ),
            None => format!("{}@{}", self.name, self.version),
        }
    }

    fn component(&self) -> Json {
        let mut fields = BTreeMap::from([
            ("bom-ref".to_owned(), self.reference().into()),
            ("name".to_owned(), self.name.as_str().into()),
            ("type".to_owned(), "library".into()),
            ("version".to_owned(), self.version.as_str().into()),
        ]);
        if self.source.is_some() {
            fields.insert("purl".to_owned(), self.reference().into());
        }
        if let Some(checksum) = &self.checksum {
            let hash = Json::object([
                ("alg", ALGORITHM.into()),
                ("content", checksum.as_str().into()),
            ]);
            fields.insert("hashes".to_owned(), Json::List(vec![hash]));
        }
        Json::Object(fields)
    }

    /// What it names: by name alone, or by name and version where there are several.
    fn needs(&self, named: &BTreeMap<&str, Vec<&Self>>) -> Result<BTreeSet<String>, BadLock> {
        let of = |line: &String| {
            let mut words = line.split(' ');
            let (name, version) = (words.next().unwrap_or_default(), words.next());
            let all = named.get(name).map(Vec::as_slice).unwrap_or_default();
            let mut fitting = all
                .iter()
                .filter(|one| version.is_none_or(|version| one.version == version));
            match (fitting.next(), fitting.next()) {
                (Some(one), None) => Ok(one.reference()),
                _ => Err(BadLock::Unknown {
                    of: self.reference(),
                    name: line.clone(),
                }),
            }
        };
        self.dependencies.iter().map(of).collect()
    }
}

/// Whether the list is one, every part is there once, with the hash of its registry, and every part that is named is there.
pub(super) fn check(files: &Files) -> Vec<Finding> {
    let finding = |what: String| Finding::of(SBOM, None, what);
    let bytes = files.get(SBOM).unwrap_or_default();
    let json = Json::document(bytes, DOCUMENT_BYTES_MAX).ok();
    let Some((root, components, dependencies)) = json.as_ref().and_then(parts) else {
        return vec![finding("not CycloneDX 1.6 in canonical JSON".to_owned())];
    };
    let (mut known, mut findings) = (BTreeSet::from([root]), Vec::new());
    for (place, component) in components.iter().enumerate() {
        let is_new = component_reference(component).is_some_and(|own| known.insert(own));
        if !is_new {
            findings.push(finding(format!(
                "component {place}: without name, version or hash, or there twice"
            )));
        }
    }
    for (place, dependency) in dependencies.iter().enumerate() {
        let all_known =
            named(dependency).is_some_and(|names| names.iter().all(|name| known.contains(name)));
        if !all_known {
            findings.push(finding(format!(
                "dependency {place}: names a part that is not there"
            )));
        }
    }
    findings
}

fn parts(json: &Json) -> Option<(&str, &[Json], &[Json])> {
    let list = |key| match json.get(key) {
        Some(Json::List(values)) => Some(values.as_slice()),
        _ => None,
    };
    let is = |key: &str, value: &str| json.get(key).and_then(Json::as_text) == Some(value);
    let fits = is("bomFormat", FORMAT)
        && is("specVersion", SPEC_VERSION)
        && json.get("version") == Some(&Json::Number(1));
    fits.then_some(())?;
    let root = json.get("metadata")?.get("component")?.get("bom-ref")?;
    Some((root.as_text()?, list("components")?, list("dependencies")?))
}

/// The reference of a component that is in form.
fn component_reference(component: &Json) -> Option<&str> {
    let text = |key: &str| {
        component
            .get(key)?
            .as_text()
            .filter(|text| !text.is_empty())
    };
    text("name")?;
    text("version")?;
    (text("type")? == "library").then_some(())?;
    if component.get("purl").is_some() {
        let Some(Json::List(hashes)) = component.get("hashes") else {
            return None;
        };
        let [one] = hashes.as_slice() else {
            return None;
        };
        let is_own = one.get("alg")?.as_text()? == ALGORITHM && text("purl") == text("bom-ref");
        is_own.then_some(())?;
        hash(one.get("content")?.as_text()?.as_bytes())?;
    }
    text("bom-ref")
}

/// All parts that a line of dependencies names.
fn named(dependency: &Json) -> Option<Vec<&str>> {
    let Some(Json::List(needs)) = dependency.get("dependsOn") else {
        return None;
    };
    let own = dependency.get("ref")?.as_text()?;
    let needs: Option<Vec<&str>> = needs.iter().map(Json::as_text).collect();
    Some([needs?, vec![own]].concat())
}

const FORMAT: &str = "CycloneDX";
const SPEC_VERSION: &str = "1.6";
const ALGORITHM: &str = "SHA-256";
const SCOPE: &str = "every package of the lock file, also those that only tests, builds or other platforms use; C sources within packages are not listed by themselves";

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(more: &str) -> String {
        let digest = "ab".repeat(32);
        let package = |name: &str, version: &str| {
            format!(
                "[[package]]\nname = \"{name}\"\nversion = \"{version}\"\nsource = \"registry+x\"\nchecksum = \"{digest}\"\n"
            )
        };
        [
            "version = 4\n".to_owned(),
            package("a", "1.0.0"),
            package("a", "2.0.0+more"),
            package("b", "0.1.0"),
            "dependencies = [\"a 2.0.0+more\"]\n".to_owned(),
            "[[package]]\nname = \"own\"\nversion = \"0.1.0\"\ndependencies = [\"b\", \"a 1.0.0\"]\n".to_owned(),
            more.to_owned(),
        ]
        .concat()
    }

    fn checked(text: &str) -> usize {
        let mut files = Files::default();
        files.put(SBOM, text.as_bytes().to_vec()).unwrap();
        check(&files).len()
    }

    #[test]
    fn every_package_is_a_part_and_what_it_needs_is_resolved() {
        let text = sbom("product", "0.1.0", &lock("")).unwrap();
        assert_eq!(text, sbom("product", "0.1.0", &lock("")).unwrap());
        for part in [
            "\"bom-ref\":\"pkg:cargo/a@2.0.0%2Bmore\"",
            "{\"dependsOn\":[\"pkg:cargo/a@2.0.0%2Bmore\"],\"ref\":\"pkg:cargo/b@0.1.0\"}",
            "{\"dependsOn\":[\"own@0.1.0\"],\"ref\":\"product\"}",
            "{\"dependsOn\":[\"pkg:cargo/a@1.0.0\",\"pkg:cargo/b@0.1.0\"],\"ref\":\"own@0.1.0\"}",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert_eq!(checked(&text), 0);
    }

    #[track_caller]
    fn check_refused(more: &str, expected: &str) {
        let error = sbom("product", "0.1.0", &lock(more)).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }

    #[test]
    fn a_lock_file_that_does_not_hold_together_is_refused() {
        let own = "[[package]]\nname = \"own\"\nversion = \"0.1.0\"\n";
        let other = "[[package]]\nname = \"other\"\nversion = \"0.1.0\"\n";
        check_refused(own, "own@0.1.0 is in the lock file twice");
        check_refused(&format!("{other}dependencies = [\"z\"]\n"), "names z");
        check_refused(&format!("{other}dependencies = [\"a\"]\n"), "names a");
        check_refused("= 3\n", "not a lock file");
    }

    #[test]
    fn a_list_that_was_changed_is_found() {
        let text = sbom("product", "0.1.0", &lock("")).unwrap();
        for (from, to, found) in [
            ("\"specVersion\":\"1.6\"", "\"specVersion\":\"1.5\"", 1),
            ("\"ref\":\"product\"", "\"ref\":\"produce\"", 1),
            ("\"content\":\"ab", "\"content\":\"AB", 3),
            (
                "\"purl\":\"pkg:cargo/b@0.1.0\"",
                "\"purl\":\"pkg:cargo/c@0.1.0\"",
                3,
            ),
            ("\"name\":\"b\"", "\"name\":\"\"", 3),
        ] {
            assert!(text.contains(from));
            assert_eq!(checked(&text.replacen(from, to, 1)), found, "{from}");
        }
        assert_eq!(checked("{}"), 1);
    }
}
