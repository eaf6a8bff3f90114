//! Which files are opened, and which are refused and left alone.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use core::time::Duration;

use netid::{ClaimKey, ClaimStore as _, Owner, RedbError, RedbStore};

use super::Folder;
use crate::block_on;

/// The error of a file that must not be opened, after a look whether it was left alone.
fn refused(path: &Path) -> RedbError {
    let before = fs::read(path).ok();
    let error = RedbStore::open(path).unwrap_err();
    assert!(fs::read(path).ok() == before, "{} was changed", path.display());
    error
}

#[test]
fn a_file_is_made_for_its_owner_alone() {
    let folder = Folder::new();
    let store = RedbStore::open(folder.file()).unwrap();
    let mode = fs::metadata(folder.file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let names = || {
        let entries = fs::read_dir(folder.file().parent().unwrap()).unwrap();
        entries.map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>()
    };
    assert_eq!(names(), ["claims.redb"]);
    drop(store);
    assert_eq!(names(), ["claims.redb"]);

    // Rights that somebody gave are kept.
    fs::set_permissions(folder.file(), fs::Permissions::from_mode(0o640)).unwrap();
    drop(RedbStore::open(folder.file()).unwrap());
    let mode = fs::metadata(folder.file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
}

#[test]
fn a_file_is_open_once_and_again_at_once() {
    let folder = Folder::new();
    let owner = Owner::new("vm", "", "u").unwrap();
    for turn in 0..20 {
        let store = RedbStore::open(folder.file()).unwrap();
        assert!(matches!(refused(&folder.file()), RedbError::AlreadyOpen { .. }));
        let key = ClaimKey::name(&turn.to_string()).unwrap();
        let clone = store.clone();
        drop(store);
        block_on(clone.claim(&owner, &[key], Duration::ZERO)).unwrap();
        assert_eq!(block_on(clone.claims_of(&owner)).unwrap().len(), turn + 1);
    }
}

#[test]
fn other_files_are_left_alone() {
    let folder = Folder::new();
    drop(RedbStore::open(folder.file()).unwrap());
    let whole = fs::read(folder.file()).unwrap();
    let other = folder.file().with_extension("other");
    for bytes in [
        &b""[..],
        b"r",
        b"redb",
        b"SQLite format 3\0",
        &[0; 4096],
        &vec![0; whole.len()],
        &whole[..9],
        &whole[..100],
        &whole[1..],
    ] {
        fs::write(&other, bytes).unwrap();
        let error = refused(&other);
        assert!(matches!(error, RedbError::NotADatabase { .. }), "{error:?}");
    }
    // A file that was cut, wherever, is an error too, of whatever kind.
    for end in [320, 4096, whole.len() / 2, whole.len() - 1] {
        fs::write(&other, &whole[..end]).unwrap();
        refused(&other);
    }
}

#[test]
fn paths_without_a_file_are_refused() {
    let folder = Folder::new();
    let (file, parent) = (folder.file(), folder.file().parent().unwrap().to_owned());

    let error = refused(&file.join("claims.redb"));
    assert!(matches!(error, RedbError::NoFolder { .. }), "{error:?}");
    for path in [&*parent, Path::new("/"), Path::new("")] {
        let error = refused(path);
        assert!(matches!(error, RedbError::Open { .. }), "{error:?}");
    }
    symlink(parent.join("nowhere"), &file).unwrap();
    let error = refused(&file);
    assert!(matches!(error, RedbError::Open { .. }), "{error:?}");
    assert_eq!(fs::read_dir(parent).unwrap().count(), 1);

    // Even root makes no files there.
    let error = refused(Path::new("/sys/netid.redb"));
    assert!(matches!(error, RedbError::Denied { .. }), "{error:?}");
}

#[test]
fn errors_say_what_to_do() {
    let folder = Folder::new();
    let path = folder.file();
    let shown = path.display();
    let store = RedbStore::open(&path).unwrap();
    assert_eq!(
        refused(&path).to_string(),
        format!("{shown} is open in another place; share that store, or end it first")
    );
    drop(store);
    assert_eq!(
        refused(&path.join("claims")).to_string(),
        format!("{shown}/claims is in no folder that exists; create it first")
    );
    assert_eq!(
        refused(Path::new("/sys/netid.redb")).to_string(),
        "no permission to read and write /sys/netid.redb; let this user do both, or run as another"
    );
    fs::write(&path, "something else").unwrap();
    let expected = format!("{shown} is not a redb database (");
    let error = refused(&path).to_string();
    assert!(error.starts_with(&expected) && error.ends_with("; give another path"), "{error}");
}
