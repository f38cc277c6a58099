from dataclasses import dataclass

import pytest

from cmgan.study.parameters import read_parameters


@dataclass(frozen=True)
class Example:
    run: str
    rate: float
    seeds: list


GIVEN = {"run": "laptop", "rate": 0.5, "seeds": [0, 1]}


def test_parameters_are_read_from_a_kernels_namespace():
    kernel = GIVEN | {"__name__": "__main__", "In": [], "pytest": pytest, "read_parameters": read_parameters}
    assert read_parameters(Example, kernel) == Example("laptop", 0.5, [0, 1])


def test_a_whole_number_is_a_float():
    assert read_parameters(Example, GIVEN | {"rate": 1}).rate == 1


def test_a_misspelt_parameter_is_refused_with_the_names_there_are():
    with pytest.raises(ValueError, match=r"unknown parameter rat: .*run, rate, seeds"):
        read_parameters(Example, GIVEN | {"rat": 0.5})


@pytest.mark.parametrize(("name", "value"), [("run", 3), ("rate", "5e-4"), ("rate", True), ("seeds", 3)])
def test_a_value_of_the_wrong_type_is_refused_by_name(name, value):
    with pytest.raises(ValueError, match=name):
        read_parameters(Example, GIVEN | {name: value})


def test_in_cells_that_run_again_names_of_later_cells_are_allowed_and_values_still_checked():
    kernel = dict(GIVEN)
    parameters = read_parameters(Example, kernel)
    kernel |= {"parameters": parameters, "failed": 3}
    assert read_parameters(Example, kernel) == parameters
    with pytest.raises(ValueError, match="rate"):
        read_parameters(Example, kernel | {"rate": "5e-4"})
