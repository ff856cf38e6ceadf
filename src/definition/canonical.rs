//! The canonical data model: six entities that make workflows independent of the connector.
//!
//! Money is a string, never a float. Source: the platform's own table of its canonical entities.

use super::entity::FieldType;

/// A canonical entity, or an object type that entities contain.
#[derive(Debug)]
pub struct CanonicalEntity {
    /// UpperCamelCase name.
    pub name: &'static str,
    /// True if connectors can map an entity to it; false for a type that only occurs within others.
    pub mappable: bool,
    /// Fields of the entity.
    pub fields: &'static [Field],
}

/// A field of a canonical entity.
#[derive(Debug)]
pub struct Field {
    /// lowerCamelCase name.
    pub name: &'static str,
    /// Type of the field.
    pub field_type: FieldType,
    /// True if the field is present in every record.
    pub required: bool,
    /// Type of an object or of the items of an array.
    pub entity: Option<&'static str>,
    /// Allowed values; empty if any value is allowed.
    pub values: &'static [&'static str],
}

impl CanonicalEntity {
    /// Finds the field at a dotted path such as `totals.total`, through nested types. Objects without a type of their
    /// own (`customFields`) accept every path.
    pub fn field(&self, path: &str) -> Option<&'static Field> {
        let (first, rest) = match path.split_once('.') {
            Some((first, rest)) => (first, Some(rest)),
            None => (path, None),
        };
        let first = first.split('[').next().unwrap_or(first);
        let field = self.fields.iter().find(|field| field.name == first)?;
        match (rest, field.entity.and_then(find)) {
            (None, _) => Some(field),
            (Some(rest), Some(entity)) => entity.field(rest),
            (Some(_), None) if field.field_type == Object => Some(field),
            (Some(_), None) => None,
        }
    }
}

/// Finds an entity by its name.
pub fn find(name: &str) -> Option<&'static CanonicalEntity> {
    ALL.iter().find(|entity| entity.name == name)
}

const fn field(name: &'static str, field_type: FieldType) -> Field {
    Field { name, field_type, required: false, entity: None, values: &[] }
}

const fn text(name: &'static str) -> Field {
    field(name, FieldType::String)
}

const fn nested(name: &'static str, field_type: FieldType, entity: &'static str) -> Field {
    Field { entity: Some(entity), ..field(name, field_type) }
}

const fn choice(name: &'static str, values: &'static [&'static str]) -> Field {
    Field { values, ..text(name) }
}

const fn required(field: Field) -> Field {
    Field { required: true, ..field }
}

use FieldType::{Array, DateTime, Money, Number, Object};

/// The six canonical entities and the types that they contain.
pub static ALL: &[CanonicalEntity] = &[
    CanonicalEntity {
        name: "Contact",
        mappable: true,
        fields: &[
            required(text("id")),
            text("email"),
            text("firstName"),
            text("lastName"),
            text("company"),
            text("phone"),
            nested("addresses", Array, "Address"),
            field("tags", Array),
            field("customFields", Object),
        ],
    },
    CanonicalEntity {
        name: "Product",
        mappable: true,
        fields: &[
            required(text("id")),
            required(text("name")),
            text("sku"),
            text("description"),
            text("category"),
            choice("status", &["active", "draft", "archived"]),
            nested("variants", Array, "Variant"),
            nested("pricingTiers", Array, "PricingTier"),
            nested("inventory", Object, "Inventory"),
        ],
    },
    CanonicalEntity {
        name: "Order",
        mappable: true,
        fields: &[
            required(text("id")),
            nested("contact", Object, "Contact"),
            required(nested("lineItems", Array, "LineItem")),
            required(nested("totals", Object, "Totals")),
            nested("payments", Array, "Payment"),
            required(choice("status", &["pending", "processing", "completed", "cancelled"])),
            nested("shippingAddress", Object, "Address"),
            nested("billingAddress", Object, "Address"),
            text("currency"),
            field("createdAt", DateTime),
        ],
    },
    CanonicalEntity {
        name: "Invoice",
        mappable: true,
        fields: &[
            required(text("id")),
            nested("contact", Object, "Contact"),
            required(nested("lineItems", Array, "LineItem")),
            required(nested("totals", Object, "Totals")),
            required(choice("status", &["draft", "submitted", "authorised", "paid", "voided"])),
            field("dueDate", DateTime),
            nested("payments", Array, "Payment"),
            required(text("currency")),
            text("invoiceNumber"),
        ],
    },
    CanonicalEntity {
        name: "InventoryLevel",
        mappable: true,
        fields: &[
            required(text("productId")),
            text("variantId"),
            text("locationId"),
            required(field("available", Number)),
            field("onHand", Number),
            field("committed", Number),
            field("reserved", Number),
        ],
    },
    CanonicalEntity {
        name: "Fulfillment",
        mappable: true,
        fields: &[
            required(text("id")),
            required(text("orderId")),
            required(choice("status", &["pending", "in_transit", "delivered", "failed", "cancelled"])),
            text("trackingNumber"),
            text("carrier"),
            nested("lineItems", Array, "LineItem"),
            field("shippedAt", DateTime),
            field("deliveredAt", DateTime),
        ],
    },
    CanonicalEntity {
        name: "Address",
        mappable: false,
        fields: &[
            text("line1"),
            text("line2"),
            text("city"),
            text("state"),
            text("postalCode"),
            text("country"),
            text("company"),
        ],
    },
    CanonicalEntity {
        name: "LineItem",
        mappable: false,
        fields: &[
            text("productId"),
            text("name"),
            field("quantity", Number),
            field("unitPrice", Money),
            field("totalPrice", Money),
            text("sku"),
        ],
    },
    CanonicalEntity {
        name: "Totals",
        mappable: false,
        fields: &[
            field("subtotal", Money),
            field("tax", Money),
            field("shipping", Money),
            field("discount", Money),
            field("total", Money),
        ],
    },
    CanonicalEntity {
        name: "Inventory",
        mappable: false,
        fields: &[field("available", Number), field("onHand", Number)],
    },
    // The source defines no fields for these three types; the fields are those that its connectors map.
    CanonicalEntity {
        name: "Variant",
        mappable: false,
        fields: &[text("id"), text("sku"), text("name"), field("price", Money)],
    },
    CanonicalEntity {
        name: "PricingTier",
        mappable: false,
        fields: &[text("name"), field("minimumQuantity", Number), field("price", Money)],
    },
    CanonicalEntity {
        name: "Payment",
        mappable: false,
        fields: &[text("id"), field("amount", Money), text("currency"), text("status"), field("paidAt", DateTime)],
    },
];
