//! Tests of the transport over real QUIC on the loopback interface: who gets in, who does not, and what each is told.

mod sessions;
mod world;

use rustls::crypto::aws_lc_rs;

use self::world::{
    DAY_MS, WAIT, World, authority, credentials, greet_as, hello, now, server_key, special_client,
    special_server,
};
use super::certificates::new_request;
use super::directory::DirectoryFault;
use super::join::{JoinFault, redeem};
use super::quic::{CertificateProblem, FrameReader, Link, LinkError};
use super::tls::{Credentials, client_join, client_main, server_join, server_main};
use crate::base::ids::{Hash32, Role};
use crate::base::time::Timestamp;
use crate::protocol::codec::CodecError;
use crate::protocol::wire::{CloseReason, Goodbye, Hello, JoinRejection, Welcome, frame};

#[track_caller]
fn check_refused(entered: Result<Welcome, LinkError>, expected: CertificateProblem) {
    let error = entered.unwrap_err();
    assert!(
        matches!(error, LinkError::Ours(problem) if problem == expected),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_member_is_welcome_and_known_by_its_certificate() {
    let mut world = World::new();
    let link = world.open(world.member()).await.unwrap();
    let welcome = hello(&link.connection).await.unwrap();
    assert_eq!(welcome.name.as_str(), "north");
    link.close().await;
    let peer = world.found.recv().await.unwrap().unwrap();
    assert_eq!((peer.name.as_str(), peer.role), ("north", Role::Node));
}

#[tokio::test]
async fn nobody_enters_without_a_certificate() {
    let world = World::new();
    let groups = [aws_lc_rs::kx_group::X25519MLKEM768];
    let entered = world.enter(special_client(&world, None, &groups)).await;
    check_refused(entered, CertificateProblem::Missing);
}

#[tokio::test]
async fn s1_bad_certificates_refused_of_another_authority() {
    let mut world = World::new();
    let entered = world.enter(world.party(&authority(), now())).await;
    check_refused(entered, CertificateProblem::UnknownAuthority);
    assert!(matches!(
        world.found.recv().await,
        Some(Err(LinkError::Theirs(CertificateProblem::UnknownAuthority)))
    ));
}

#[tokio::test]
async fn s1_bad_certificates_refused_once_expired() {
    let world = World::new();
    let then = Timestamp(now().0 - 31 * DAY_MS);
    let entered = world.enter(world.party(&world.authority, then)).await;
    check_refused(entered, CertificateProblem::Expired);
}

#[tokio::test]
async fn s1_bad_certificates_refused_for_another_use() {
    let world = World::new();
    let server = server_key(&world.authority);
    let tls = client_main(world.authority.certificate(), credentials(&server)).unwrap();
    check_refused(world.enter(tls).await, CertificateProblem::WrongUse);
}

#[tokio::test]
async fn a_server_of_another_authority_or_name_is_refused() {
    let (world, other) = (World::new(), World::new());
    let address = world.main.to_string();
    let foreign = Link::open(&address, "aquifer", other.member()).await;
    assert!(matches!(
        foreign,
        Err(LinkError::Theirs(CertificateProblem::UnknownAuthority))
    ));
    let misnamed = Link::open(&address, "elsewhere", world.member()).await;
    assert!(matches!(
        misnamed,
        Err(LinkError::Theirs(CertificateProblem::Bad))
    ));
}

#[tokio::test]
async fn a_client_certificate_does_not_make_a_server() {
    let authority = authority();
    let name = "aquifer".parse().unwrap();
    let key = new_request(&name).unwrap();
    let issued = authority.sign_csr(&key.value, &name, Role::Node, now(), 30);
    let pem = crate::shell::certificates::certificate_pem(&issued.unwrap().der);
    let own = Credentials {
        certificate_pem: &pem,
        key_pem: &key.key_pem,
    };
    let tls = server_main(authority.certificate(), own).unwrap();
    let world = World::with(authority, tls, server_join(own).unwrap());
    assert!(matches!(
        world.open(world.member()).await,
        Err(LinkError::Theirs(_))
    ));
}

#[tokio::test]
async fn the_two_endpoints_are_not_exchanged() {
    let world = World::new();
    let exchanged = Link::open(&world.join.to_string(), "aquifer", world.member()).await;
    assert!(matches!(exchanged, Err(LinkError::OtherProtocol)));
    let tls = client_join(world.authority.certificate()).unwrap();
    let exchanged = world.open(tls).await;
    assert!(matches!(exchanged, Err(LinkError::OtherProtocol)));
}

#[tokio::test]
async fn key_exchange_is_post_quantum_where_the_client_has_nothing_else() {
    let world = World::new();
    let name = "north".parse().unwrap();
    let key = new_request(&name).unwrap();
    let issued = world
        .authority
        .sign_csr(&key.value, &name, Role::Node, now(), 30);
    let pem = crate::shell::certificates::certificate_pem(&issued.unwrap().der);
    let own = Credentials {
        certificate_pem: &pem,
        key_pem: &key.key_pem,
    };
    let groups = [aws_lc_rs::kx_group::X25519MLKEM768];
    let tls = special_client(&world, Some(own), &groups);
    assert!(world.enter(tls).await.is_ok());
    // The same client with a group that the coordinator does not take: the group does decide.
    let tls = special_client(&world, Some(own), &[aws_lc_rs::kx_group::SECP384R1]);
    assert!(matches!(
        world.enter(tls).await,
        Err(LinkError::Transport { code: 0x128 })
    ));
}

#[track_caller]
fn check_thrown((found, said): (LinkError, LinkError), expected: CloseReason) {
    assert_eq!(found.blame(), Some(expected), "{found:?}");
    assert!(
        matches!(said, LinkError::Closed(reason) if reason == expected),
        "{said:?}"
    );
}

#[tokio::test]
async fn a_frame_above_the_limit_closes_the_connection() {
    let mut world = World::new();
    let (found, said) = world.throw(&[1, 1, 1, 0x40, 0, 0], false).await;
    assert!(matches!(
        found,
        LinkError::Codec(CodecError::TooLong { .. })
    ));
    check_thrown((found, said), CloseReason::Protocol);
}

#[tokio::test]
async fn another_version_closes_the_connection() {
    let mut world = World::new();
    check_thrown(
        world.throw(&[2, 1, 0, 0, 0, 0], false).await,
        CloseReason::Version,
    );
}

#[tokio::test]
async fn another_message_closes_the_connection() {
    let mut world = World::new();
    let goodbye = frame(&Goodbye {
        reason: CloseReason::Shutdown,
    });
    check_thrown(world.throw(&goodbye, false).await, CloseReason::Protocol);
}

#[tokio::test]
async fn an_end_before_or_within_a_frame_closes_the_connection() {
    let mut world = World::new();
    check_thrown(world.throw(&[], true).await, CloseReason::Protocol);
    check_thrown(world.throw(&[1, 1, 9], true).await, CloseReason::Protocol);
    let (found, _) = world.throw(&[1, 1, 9, 0, 0, 0, 5], true).await;
    assert!(matches!(found, LinkError::Truncated { got: 7 }));
}

#[tokio::test]
async fn random_bytes_harm_nobody_else() {
    let mut world = World::new();
    for _ in 0..20 {
        let bytes = crate::shell::keys::random_bytes32().unwrap();
        let (found, _) = world.throw(&bytes, true).await;
        assert!(found.blame().is_some(), "{bytes:?}: {found:?}");
        let mut framed = vec![1, 1, 32, 0, 0, 0];
        framed.extend(bytes);
        let (found, _) = world.throw(&framed, true).await;
        assert!(found.blame().is_some(), "{bytes:?}: {found:?}");
    }
    assert!(world.enter(world.member()).await.is_ok());
}

#[tokio::test]
async fn a_close_reason_reaches_the_other_side() {
    let world = World::new();
    let link = world.open(world.member()).await.unwrap();
    let error = greet_as(&link.connection, "revoked").await.unwrap_err();
    assert!(matches!(error, LinkError::Closed(CloseReason::Revoked)));
    assert!(!error.may_pass());
}

#[tokio::test]
async fn a_cancelled_read_loses_nothing() {
    let world = World::new();
    let link = world.open(world.member()).await.unwrap();
    let (mut to, from) = link.connection.open_bi().await.unwrap();
    let hello = frame(&Hello {
        protocol: 1,
        software: "test".to_owned(),
        ledger_seq: 0,
        ledger_head: Hash32([0; 32]),
        data_version: None,
        program: Hash32::default(),
    });
    to.write_all(&hello).await.unwrap();
    let mut reader = FrameReader::new(from);
    let read = async {
        loop {
            tokio::select! {
                biased;
                read = reader.next(1_000) => return read,
                () = tokio::task::yield_now() => {}
            }
        }
    };
    let (kind, _) = tokio::time::timeout(WAIT, read)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(kind, 2);
}

#[tokio::test]
async fn a_ticket_makes_a_member() {
    let world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("north");
    let text = world.ticket().to_text().unwrap();
    let joined = redeem(&text, &path, now()).await.unwrap();
    let tls = joined.client_config().unwrap();
    let link = joined.connect(tls).await.unwrap();
    assert!(hello(&link.connection).await.is_ok());
    let again = redeem(&text, &path, now()).await;
    assert!(matches!(
        again,
        Err(JoinFault::Directory(DirectoryFault::Occupied { .. }))
    ));
}

#[tokio::test]
async fn a_ticket_that_is_not_taken_leaves_nothing_behind() {
    let world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let mut ticket = world.ticket();
    ticket.secret = [8; 32];
    let refused = redeem(&ticket.to_text().unwrap(), dir.path(), now()).await;
    let rejected = JoinRejection::TicketInvalid;
    assert!(matches!(refused, Err(JoinFault::Rejected(reason)) if reason == rejected));
    assert_eq!(dir.path().read_dir().unwrap().count(), 0);
}

#[tokio::test]
async fn a_ticket_of_another_coordinator_is_not_sent() {
    let (world, other) = (World::new(), World::new());
    let dir = tempfile::tempdir().unwrap();
    let mut ticket = world.ticket();
    ticket.address_join = other.join.to_string();
    let refused = redeem(&ticket.to_text().unwrap(), dir.path(), now()).await;
    assert!(matches!(
        refused,
        Err(JoinFault::Link {
            source: LinkError::Theirs(CertificateProblem::UnknownAuthority),
            ..
        })
    ));
}

#[tokio::test]
async fn key_exchange_is_post_quantum_where_the_server_has_nothing_else() {
    let authority = authority();
    let server = server_key(&authority);
    let tls = special_server(&authority, &server, &[aws_lc_rs::kx_group::X25519MLKEM768]);
    let join = server_join(credentials(&server)).unwrap();
    let world = World::with(authority, tls, join);
    assert!(world.enter(world.member()).await.is_ok());
}
