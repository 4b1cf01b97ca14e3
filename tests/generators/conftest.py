"""Marks the tests of limits that are known and not yet lifted, each expected to fail."""

from __future__ import annotations

import pytest

KNOWN_LIMITS = (
    "test_number_that_two_and_three_do_not_tell[square]",
    "test_fixed_arguments_reach_the_network_and_the_tail",
    "test_networks_that_no_gradient_can_go_through_work_or_say_so[out=]",
    "test_network_in_inference_mode_works_or_says_so",
    "test_scripted_network_is_refused_with_a_reason",
    "test_random_state_is_left_as_found_by_a_network_that_is_refused_for_its_draws",
    "test_network_that_draws_what_cannot_be_frozen[3-a draw that is not known]",
    "test_network_that_draws_what_cannot_be_frozen[6-a draw that is not known]",
    "test_whatever_the_result_depends_on_makes_another_entry[layers]",
    "test_of_a_bundle_is_the_mean_of_each_tensor",
    "test_feature_of_a_bundle_given_for_it[True]",
    "test_feature_of_a_bundle_given_for_it[False]",
)
"""Names of tests, as pytest writes them; a parametrised one may end in the middle."""


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.parent.name == "generators" and item.name.startswith(KNOWN_LIMITS):
            item.add_marker(pytest.mark.xfail(reason="a known limit of cutting; docs/cutting.md"))
