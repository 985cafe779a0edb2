"""The code that MLflow stores with a registered model and runs to load it ("models from code").

MLflow runs this file as a script; no other module imports it. That is why it may do something at import, which
`set_model` at its end requires. Where it runs, sortline is installed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from models.bundle import load_bundle
from models.frames import decisions_to_frame, products_from_frame


class SortlineModel(PythonModel):
    """A bundle behind MLflow's interface: a frame of products in, a frame of decisions out."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the bundle, with all its checks."""
        self._classifier = load_bundle(Path(context.artifacts["bundle"]))

    def predict(
        self, context: PythonModelContext, model_input: pandas.DataFrame, params: dict[str, Any] | None = None
    ) -> pandas.DataFrame:
        """Return product_id, category, category_path, confidence and decision, one row a product, in order."""
        return decisions_to_frame(self._classifier.classify(products_from_frame(model_input)))


set_model(SortlineModel())
