//! Two of eight nodes die in every round after their shares have come, or before and for good: what the others make of it.

use super::deployment::{Deployment, SUMS};

#[test]
fn two_of_eight_that_die_after_their_shares_in_every_round_are_in_every_sum() {
    let mut deployment = Deployment::told(8, 21);
    // Long enough for a node to start: those who are back when the next task is out take part in it.
    deployment.begin("shared-noise", 20_000);
    for round in 1..=SUMS {
        let victims = [0, 1].map(|_| deployment.draw(8) as usize);
        let victims = [victims[0], (victims[0] + 1 + victims[1] % 7) % 8];
        deployment.wait_for(&victims, "Shares", round as usize);
        victims.iter().for_each(|node| deployment.kill_node(*node));
        for node in victims {
            deployment.cluster.start_node(node).unwrap();
        }
    }
    assert_eq!(deployment.check_end(), Some(vec![8; SUMS as usize]));
}

#[test]
fn two_of_eight_that_are_gone_for_good_leave_the_sums_of_six() {
    let mut deployment = Deployment::told(8, 22);
    deployment.begin("shared-noise", 1_000);
    deployment.wait_for_sums(2);
    [2, 5]
        .into_iter()
        .for_each(|node| deployment.kill_node(node));
    let sums = deployment.check_end().unwrap();
    assert_eq!(sums[4..], [6; SUMS as usize - 4]);
}
