import java.sql.*;
import java.time.LocalDate;
import java.util.*;

/** Looks for tables and columns through DatabaseMetaData and asks a question; prints one line for each thing found. */
public class Tables {
    static void show(String what, ResultSet rows, String... columns) throws SQLException {
        while (rows.next()) {
            var line = new StringBuilder(what);
            for (var column : columns) line.append(' ').append(rows.getString(column));
            System.out.println(line);
        }
    }

    /** Binds days in the two ways that Java has, and reads days and JSON. */
    static void months(Connection connection, String what, String question) throws SQLException {
        connection.createStatement().execute("SET aquifer.intervals = 'json'");
        try (var statement = connection.prepareStatement(question)) {
            statement.setDate(1, java.sql.Date.valueOf("2024-02-01"));
            statement.setObject(2, LocalDate.of(2024, 11, 30));
            var rows = statement.executeQuery();
            while (rows.next()) {
                var month = rows.getObject(1, LocalDate.class);
                if (!Objects.equals(rows.getDate("month"), month == null ? null : java.sql.Date.valueOf(month))) throw new SQLException("two days");
                System.out.println(what + " " + month + " " + rows.getString("n") + " " + (rows.getBoolean("suppressed") ? "null" : "shown"));
            }
        }
    }

    /** usage: java -cp postgresql.jar Tables.java PORT USER CA_FILE QUESTION MONTHS, with the password in PGPASSWORD */
    public static void main(String[] args) throws Exception {
        var settings = new Properties();
        settings.setProperty("user", args[1]);
        settings.setProperty("password", System.getenv("PGPASSWORD"));
        settings.setProperty("sslmode", "verify-ca");
        settings.setProperty("sslrootcert", args[2]);
        settings.setProperty("options", "-c aquifer.purpose=reporting");
        var place = "jdbc:postgresql://127.0.0.1:" + args[0] + "/aquifer";
        try (var connection = DriverManager.getConnection(place, settings)) {
            var meta = connection.getMetaData();
            show("schema", meta.getSchemas(), "TABLE_SCHEM");
            show("table", meta.getTables(null, "public", "%", new String[] {"TABLE"}), "TABLE_NAME", "TABLE_TYPE", "REMARKS");
            show("view", meta.getTables(null, "aquifer", "model%", null), "TABLE_NAME", "TABLE_TYPE");
            show("column", meta.getColumns(null, "public", "customers", "contract"), "COLUMN_NAME", "TYPE_NAME", "DATA_TYPE", "REMARKS");
            show("key", meta.getPrimaryKeys(null, "public", "customers"), "COLUMN_NAME");
            show("foreign", meta.getImportedKeys(null, "public", "customers"), "FKCOLUMN_NAME");
            show("index", meta.getIndexInfo(null, "public", "customers", false, false), "INDEX_NAME");
            show("function", meta.getFunctions(null, "public", "%"), "FUNCTION_NAME");
            var types = meta.getTypeInfo();
            var names = new TreeSet<String>();
            while (types.next()) names.add(types.getString("TYPE_NAME"));
            months(connection, "text", args[4]);
            settings.setProperty("prepareThreshold", "-1");
            settings.setProperty("binaryTransferEnable", "DATE");
            try (var binary = DriverManager.getConnection(place, settings)) {
                months(binary, "binary", args[4]);
            }
            System.out.println("types " + names.containsAll(List.of("int8", "float8", "text", "date", "bool")));
            try (var statement = connection.prepareStatement(args[3])) {
                statement.setInt(1, 30);
                var rows = statement.executeQuery();
                while (rows.next()) System.out.println("row " + rows.getString(1) + " " + rows.getObject("n"));
            }
            try (var statement = connection.prepareStatement("SELECT table_name FROM information_schema.tables WHERE table_name = ?")) {
                statement.setString(1, "customers");
                show("bound", statement.executeQuery(), "table_name");
            }
            try (var statement = connection.createStatement()) {
                show("budget", statement.executeQuery("SELECT used_urho > 0 AS paid FROM aquifer.budget"), "paid");
                statement.executeQuery("SELECT * FROM customers");
            } catch (SQLException refused) {
                System.out.println("refused " + refused.getSQLState());
            }
        }
    }
}
