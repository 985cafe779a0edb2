-- Beside the database that the image makes for MLflow.
CREATE DATABASE registry;
