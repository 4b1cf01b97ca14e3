"""Marks the tests of limits that are known and not yet lifted, each expected to fail."""

from __future__ import annotations

import pytest

KNOWN_LIMITS = (
    "test_picture_does_not_depend_on_how_many_there_are[batch second]",
    "test_picture_does_not_depend_on_how_many_there_are[batch last]",
    "test_picture_does_not_depend_on_how_many_there_are[several an item]",
    "test_picture_does_not_depend_on_how_many_there_are[dropout, batch second]",
    "test_picture_does_not_depend_on_how_many_there_are[a channel]",
    "test_picture_does_not_depend_on_how_many_there_are[one for all]",
    "test_picture_does_not_depend_on_how_many_there_are[like a constant]",
    "test_picture_does_not_depend_on_how_many_there_are[constant]",
    "test_dropout_leaves_its_input_alone_unless_it_is_in_place",
    "test_normal_of_a_size_is_the_same_for_every_item",
    "test_default_device_holds_for_draws_too",
    "test_number_that_two_and_three_do_not_tell[square]",
    "test_fixed_arguments_reach_the_network_and_the_tail",
    "test_digest_names_tensors_in_lists_that_are_fixed",
    "test_digest_is_the_same_in_another_process_whatever_is_fixed",
    "test_networks_that_no_gradient_can_go_through_work_or_say_so[out=]",
    "test_network_in_inference_mode_works_or_says_so",
    "test_scripted_network_is_refused_with_a_reason",
    "test_random_state_is_left_as_found_by_a_network_that_is_refused_for_its_draws",
    "test_picture_that_is_held_does_not_change_with_the_callers_latents",
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
