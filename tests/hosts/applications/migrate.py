"""The migration of Notes: refuses to run twice."""

import psycopg2

with psycopg2.connect("host=db user=postgres dbname=postgres connect_timeout=60") as connection, connection.cursor() as cursor:
    cursor.execute("CREATE TABLE notes (number serial PRIMARY KEY, text text NOT NULL, length integer)")
